"""What a run of `nbmf train --preset ...` may be told (configs/train)."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, field_validator

from cluster.config import StrictModel
from nbmf.neural.config import NeuralConfig
from nbmf.neural.primer import MAX_PRIMER_BYTES
from train_app.augment.names import Augmentation

COUNTS_ONLY, PRIMED, BUILTIN, FINETUNE = "counts", "primed", "builtin", "finetune"
"""Presets besides those of new networks: counts alone; the built-in version as it is, behind some records; other counts
beside its network; that trained on."""


def default_file(preset: str) -> str:
    """Where a preset's settings are if no file is named."""
    return "train/finetune.yaml" if preset == FINETUNE else "train/neural.yaml"


def worker_range(value: Any) -> int | tuple[int, int]:
    """A number of workers, or (fewest, most) of a pair or "2:8". Raises ValueError."""
    parts: list[Any] = (
        value.split(":") if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [value]
    )
    try:
        counts = [int(part) for part in parts]
    except (TypeError, ValueError):
        counts = []
    if len(counts) not in (1, 2) or counts[0] < 1 or counts != sorted(counts):
        raise ValueError(f"a number of workers, as 2, or the fewest and the most, as 2:8; not {value!r}")
    return counts[0] if counts[0] == counts[-1] else (counts[0], counts[1])


_NAMES: dict[type, str] = {int: "a whole number", str: "a string"}
FrozenPart: TypeAlias = Literal["memory", "embedding", "members"]
Workers: TypeAlias = Annotated[int | tuple[int, int], BeforeValidator(worker_range)]


_HOW = frozenset(
    {
        *("num_workers", "cpus_per_worker", "max_failures", "batch_size", "compile", "track"),
        *("checkpoint_interval_s", "report_interval_steps", "report_interval_s"),
    }
)
"""Settings of how a run is worked out, not of what: they may change when it is taken up again."""
_OF_COPIES = frozenset({"augment", "augment_copies"})


class NeuralTrainConfig(StrictModel):
    """Optimisation, budget and resources. The network's sizes are in nbmf.neural.config.PRESETS."""

    network: dict[str, int | str] = Field(
        description="sizes that differ from the preset's (nbmf.neural.config.NeuralConfig)"
    )
    max_minutes: float = Field(gt=0, description="wall-clock budget; the learning rate is annealed to it")
    max_tokens: int = Field(ge=0, description="stop after so many tokens, 0 for no limit but time")
    max_epochs: float = Field(ge=0, description="stop when all records were seen so often, 0 for no such limit")
    checkpoint_interval_s: float = Field(gt=0)
    report_interval_steps: int = Field(gt=0)
    report_interval_s: float = Field(gt=0, description="a report comes sooner where the steps take longer than this")
    num_workers: Workers = Field(description="data-parallel workers; fewest and most, if it may be elastic")
    cpus_per_worker: float = Field(gt=0, description="of each worker, beside its GPU if there are GPUs")
    max_failures: int = Field(ge=0, description="restarts from the last checkpoint before giving up")
    batch_size: int = Field(gt=0, description="sequences a worker takes at once")
    global_batch_size: int = Field(
        0, ge=0, description="sequences of an optimiser step, of all workers together; 0: batch_size of each worker"
    )
    sampling_temperature: float = Field(
        1.0,
        ge=0,
        le=2,
        description="classes are drawn in proportion to their size to this power: 1 as they are, 0 as much of each",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of products of activations; auto: bfloat16 where it is faster, as rank 0 measures it"
    )
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
    rounding_from: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the budget after which the network is trained as its integers round it; 1: never",
    )
    frozen: tuple[FrozenPart, ...] = Field(
        (),
        description="parts of a network that is trained on which stay as they are: memory (n-gram tables), embedding, "
        "members (of the softmax's clusters)",
    )
    max_payload_bytes: int = Field(gt=0, description="larger records are left to the coders without a network")
    max_counts_bytes: int = Field(ge=0, description="bound on the file of what is counted of the records, 0 for none")
    counts_across_classes: bool = Field(
        description="counts for records of classes that are new: by their worth to others, none of one class alone"
    )
    max_counts_payload_bytes: int = Field(gt=0, description="larger records are not coded by counts alone either")
    primer_bytes: int | None = Field(
        None,
        ge=0,
        le=MAX_PRIMER_BYTES,
        description="of records that all others are coded behind, where that makes held-out ones smaller; null: "
        f"{MAX_PRIMER_BYTES} of preset primed, none of others",
    )
    flat_share: float | None = Field(
        ge=0,
        le=1,
        description="share of records of kinds that the network is too sure of; null: fitted",
    )
    augment: tuple[Augmentation, ...] = Field(
        (), description="altered copies of records that the network learns from as well (docs/data.md)"
    )
    augment_copies: int = Field(1, ge=1, description="altered copies of a record, at most")
    seed: int
    compile: bool = Field(description="torch.compile, where there is a C++ compiler")
    track: Literal["mlflow", "wandb"] | None = Field(
        None, description="where else numbers of the log go, if its package is installed; its own variables say where"
    )

    @property
    def fewest_workers(self) -> int:
        return self.num_workers if isinstance(self.num_workers, int) else self.num_workers[0]

    def what_is_learnt(self) -> str:
        """The settings that decide it, as text: a run with others is another run, with the same it goes on."""
        left_out = _HOW if self.global_batch_size else _HOW - {"batch_size"}
        left_out |= frozenset() if self.augment else _OF_COPIES
        left_out |= {"rounding_from"} if self.rounding_from == 1 else frozenset()
        left_out |= frozenset() if self.frozen else {"frozen"}
        left_out |= {"primer_bytes"}  # chosen when the network has been trained
        return self.model_dump_json(exclude={*left_out})

    def step_size(self, world: int) -> int:
        """Sequences of an optimiser step of so many workers."""
        return self.global_batch_size or self.batch_size * world

    @field_validator("augment")
    @classmethod
    def _each_once(cls, names: tuple[Augmentation, ...]) -> tuple[Augmentation, ...]:
        """In one order: what is learnt does not depend on the one in which they are named."""
        return tuple(name for name in Augmentation if name in names)

    @field_validator("network")
    @classmethod
    def _known_sizes(cls, sizes: dict[str, int | str]) -> dict[str, int | str]:
        known = {field.name: type(field.default) for field in fields(NeuralConfig)}
        if unknown := sizes.keys() - known.keys():
            raise ValueError(f"no such sizes: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        if wrong := [name for name, value in sizes.items() if type(value) is not known[name]]:
            raise ValueError(f"{wrong[0]} is {sizes[wrong[0]]!r}, and must be {_NAMES[known[wrong[0]]]}")
        return sizes
