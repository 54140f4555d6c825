"""What a run of `nbmf train --preset ...` may be told (configs/train/neural.yaml)."""

from __future__ import annotations

from dataclasses import fields

from pydantic import Field, field_validator

from cluster.config import StrictModel
from nbmf.neural.config import NeuralConfig

DEFAULT_FILE = "train/neural.yaml"


class NeuralTrainConfig(StrictModel):
    """Optimisation, budget and resources. The network's sizes are in nbmf.neural.config.PRESETS."""

    network: dict[str, int] = Field(description="sizes that differ from the preset's (nbmf.neural.config.NeuralConfig)")
    max_minutes: float = Field(gt=0, description="wall-clock budget; the learning rate is annealed to it")
    max_tokens: int = Field(ge=0, description="stop after so many tokens, 0 for no limit but time")
    checkpoint_interval_s: float = Field(gt=0)
    report_interval_steps: int = Field(gt=0)
    num_workers: int = Field(ge=1, description="data-parallel workers")
    cpus_per_worker: float = Field(gt=0)
    max_failures: int = Field(ge=0, description="restarts from the last checkpoint before giving up")
    batch_size: int = Field(gt=0, description="sequences a worker takes in one step")
    sequence_length: int = Field(gt=0, description="tokens of a training sequence")
    muon_lr: float = Field(gt=0, description="learning rate of the matrices between activations")
    embedding_lr: float = Field(gt=0)
    memory_lr: float = Field(gt=0, description="learning rate of the n-gram tables")
    head_lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    embedding_weight_decay: float = Field(ge=0)
    memory_weight_decay: float = Field(ge=0, description="of the n-gram tables: what is seldom seen fades")
    memory_dropout: float = Field(
        ge=0,
        lt=1,
        description="share of n-gram memory entries hidden in training: records seen again teach less by heart",
    )
    warmup_steps: int = Field(ge=1)
    cooldown_from: float = Field(ge=0, lt=1, description="share of the budget after which the learning rate falls")
    final_lr_share: float = Field(ge=0, le=1)
    max_payload_bytes: int = Field(gt=0, description="larger records are left to the coders without a network")
    max_counts_bytes: int = Field(ge=0, description="bound on the file of static counts, 0 for none")
    max_counts_payload_bytes: int = Field(gt=0, description="larger records are not coded by counts alone either")
    seed: int
    compile: bool = Field(description="torch.compile, where there is a C++ compiler")

    @field_validator("network")
    @classmethod
    def _known_sizes(cls, sizes: dict[str, int]) -> dict[str, int]:
        known = {field.name for field in fields(NeuralConfig)}
        if unknown := sizes.keys() - known:
            raise ValueError(f"no such sizes: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        return sizes
