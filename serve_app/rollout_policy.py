"""The states of a rollout, and what one may be told (`rollout` in configs/serve/*.yaml), which it keeps to its end."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from cluster.config import StrictModel

State: TypeAlias = Literal["staged", "canary", "stable", "rolled_back"]

Percent = Annotated[float, Field(ge=0, le=100)]


class RolloutPolicy(StrictModel):
    """Steps of a rollout and the gates between them."""

    steps_percent: tuple[Percent, ...] = Field((10, 50, 100), min_length=1, description="the candidate's shares")
    dwell_s: float = Field(600, ge=0, description="shortest time in each state, staged included")
    min_samples: int = Field(200, gt=0, description="records compared in a state before its gates can be passed")
    shadow_sample_percent: Percent = Field(20, description="requests that are also encoded by the other version")
    verify_sample_percent: Percent = Field(
        20, description="requests served by the candidate whose blobs are decoded and compared; shadow copies all are"
    )
    max_error_rate: float = Field(0.01, ge=0, le=1, description="faults a record of the candidate's over stable's")
    min_ratio_of_stable: float = Field(0.98, gt=0, description="candidate's ratio over stable's on the same records")
    max_p95_of_stable: float = Field(2.0, gt=0, description="candidate's p95 of a record's encoding over stable's")
    candidate_timeout_s: float = Field(
        2, gt=0, description="after which stable encodes what the candidate has not; a fault"
    )
    p95_budget_ms: float = Field(20, ge=0, description="a p95 up to this is good, whatever stable's is")

    warm_up_calls: int = Field(
        20, ge=0, description="first calls of a version by an ingress replica, whose times no gate counts"
    )

    @model_validator(mode="after")
    def _rising(self) -> RolloutPolicy:
        if self.steps_percent[0] <= 0 or self.steps_percent[-1] != 100:
            raise ValueError("steps_percent begins above 0 and ends with 100")
        if any(later <= earlier for earlier, later in pairwise(self.steps_percent)):
            raise ValueError("steps_percent must rise")
        if self.shadow_sample_percent == 0:
            raise ValueError("shadow_sample_percent is 0: nothing would be compared, and no gate passed")
        return self
