"""zstd dictionaries, one for each payload kind, chosen by what they do to a tuning sample.

Trained with zstd's COVER algorithm (Liao, Petri, Moffat, Wirth: "Effective construction of relative
Lempel-Ziv dictionaries", WWW 2016).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import zstandard

from nbmf.coders import ZstdDictionaryCoder
from nbmf.payload import Kind
from train_app.config import TrainConfig
from train_app.samples.sample import Sample

KINDS = (Kind.TEXT, Kind.MESSAGES, Kind.JSON, Kind.BYTES)
_TUNING_SHARE = 10
_MAX_TUNING_RECORDS = 400
_DMER_BYTES = 8
# With fewer a dictionary is a copy of the samples; more cost time and change next to nothing.
_MIN_SAMPLE_BYTES_PER_DICTIONARY_BYTE = 4
_MAX_SAMPLE_BYTES_PER_DICTIONARY_BYTE = 16


@dataclass(frozen=True, slots=True)
class _Candidate:
    data: bytes
    tuning_bytes: int


def train_dictionaries(samples: list[Sample], config: TrainConfig, on_step: Callable[[], None]) -> dict[Kind, bytes]:
    """The best dictionary for each kind that has samples to tune on.

    A kind's own samples compete with those of all kinds together. Every tenth sample is kept out to
    choose by. `on_step` is called `steps(config)` times.
    """
    tuning = [s for i, s in enumerate(samples) if i % _TUNING_SHARE == 0]
    learning = [s for i, s in enumerate(samples) if i % _TUNING_SHARE]
    pooled = list(_train([s.canonical for s in learning], config, on_step))
    chosen = {}
    for kind in KINDS:
        own = [s.canonical for s in learning if s.kind is kind]
        judged_by = [s.canonical for s in tuning if s.kind is kind][:_MAX_TUNING_RECORDS]
        trained = [*_train(own, config, on_step), *pooled]
        candidates = [_Candidate(data, _coded_bytes(data, kind, judged_by)) for data in trained] if judged_by else []
        if candidates:
            best = min(candidates, key=lambda c: (c.tuning_bytes, len(c.data)))
            chosen[kind] = best.data
    return chosen


def steps(config: TrainConfig) -> int:
    """How many dictionaries `train_dictionaries` tries to train."""
    return (1 + len(KINDS)) * len(config.dictionary_sizes_bytes) * len(config.dictionary_segments_bytes)


def _train(samples: list[bytes], config: TrainConfig, on_step: Callable[[], None]) -> Iterable[bytes]:
    for size in config.dictionary_sizes_bytes:
        sample = _first_bytes(samples, size * _MAX_SAMPLE_BYTES_PER_DICTIONARY_BYTE)
        for segment in config.dictionary_segments_bytes:
            if sum(map(len, sample)) >= size * _MIN_SAMPLE_BYTES_PER_DICTIONARY_BYTE:
                # Too few or too uniform samples for this size are an error; other sizes are tried.
                with contextlib.suppress(zstandard.ZstdError):
                    yield zstandard.train_dictionary(size, [*sample], k=segment, d=_DMER_BYTES, level=19).as_bytes()
            on_step()


def _first_bytes(samples: list[bytes], limit_bytes: int) -> list[bytes]:
    total = 0
    for count, sample in enumerate(samples):
        total += len(sample)
        if total > limit_bytes:
            return samples[:count]
    return samples


def _coded_bytes(dictionary: bytes, kind: Kind, records: list[bytes]) -> int:
    coder = ZstdDictionaryCoder({kind: dictionary})
    return sum(len(coder.encode(kind, record) or record) for record in records)
