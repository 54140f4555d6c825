"""What a training run may be told (configs/train/*.yaml)."""

from __future__ import annotations

from pydantic import Field

from cluster.config import StrictModel
from nbmf.manifest import MOST_SPACES

DEFAULT_FILE = "train/dictionary.yaml"
FEWEST_RECORDS = 20


class TrainConfig(StrictModel):
    """Configuration of `nbmf train`."""

    holdout_fraction: float = Field(gt=0, lt=0.5, description="share of records kept back to measure the version on")
    max_training_bytes: int = Field(
        gt=0, description="bytes to learn from, without binary data; a sample is taken above it"
    )
    max_class_bytes: int = Field(ge=0, description="of each class of records, of both; 0: no bound but those of all")
    held_out_classes: float = Field(
        ge=0,
        lt=0.5,
        description="share of classes that are not learnt from: of --validation, adaptation is fitted on these alone",
    )
    max_holdout_bytes: int = Field(gt=0, description="bytes to measure on, likewise")
    max_record_bytes: int = Field(gt=0, description="records that are larger without their binary data are left out")
    min_records: int = Field(
        ge=FEWEST_RECORDS, description=f"fewest distinct records to learn from; of preset primed {FEWEST_RECORDS}"
    )
    min_space_vectors: int = Field(ge=20, description="fewest vectors that a space is learnt from; and one a number")
    max_space_vectors: int = Field(gt=0, description="vectors of a space to learn from; the others are left out")
    max_vector_spaces: int = Field(ge=0, le=MOST_SPACES, description="those with most vectors are learnt; 0: none")
    max_space_bytes: int = Field(gt=0, description="of a space's file; vectors of more numbers are left untrained")
    dictionary_sizes_bytes: tuple[int, ...] = Field(min_length=1, description="sizes to try, the best is kept")
    dictionary_segments_bytes: tuple[int, ...] = Field(min_length=1, description="COVER segment lengths (k) to try")
