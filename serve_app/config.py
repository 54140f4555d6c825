"""What a server may be told (configs/serve/*.yaml)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from cluster.config import StrictModel

DEFAULT_FILE = "serve/local.yaml"
Positive = Annotated[int, Field(gt=0)]


class DeploymentConfig(StrictModel):
    """Size and autoscaling of one deployment."""

    min_replicas: int = Field(ge=1)
    max_replicas: int = Field(ge=1)
    num_cpus: float = Field(gt=0, description="CPUs that Ray sets aside for a replica")
    target_ongoing_requests: float = Field(gt=0, description="requests in work a replica that autoscaling aims at")
    max_ongoing_requests: Positive
    upscale_delay_s: float = Field(ge=0)
    downscale_delay_s: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> DeploymentConfig:
        if self.max_replicas < self.min_replicas:
            raise ValueError("max_replicas is less than min_replicas")
        return self


class ServeConfig(StrictModel):
    """Configuration of `nbmf serve`."""

    host: str
    port: int = Field(ge=1, le=65535)
    version: str = Field(description="version to encode with, named as in Registry.resolve")
    request_timeout_s: float = Field(gt=0)
    max_body_bytes: Positive
    max_payload_bytes: Positive = Field(description="canonical bytes of a record, to encode or decoded")
    max_batch_records: Positive
    latency_budget_ms: float | None = Field(
        gt=0,
        allow_inf_nan=False,
        description="coders that would take longer to decode a record are left out, unless the request has its own; "
        "null for no limit",
    )
    max_queued_requests: Positive = Field(description="requests that wait at a replica set; further ones get 503")
    ingress: DeploymentConfig
    encoder: DeploymentConfig
    decoder: DeploymentConfig
