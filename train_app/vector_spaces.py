"""The vector spaces of the records: vectors of as many dims at one place, and a compressor fitted to each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nbmf import arrays, json_text
from nbmf.payload import Kind
from nbmf.vectors import LatentCompressor, coding
from nbmf.vectors.aim import LEAST_DIMS, LEAST_DIMS_IN_JSON, TYPES
from nbmf.vectors.compressor import MOST_FITTED_DIMS
from nbmf.vectors.fitting import directions
from train_app.config import TrainConfig
from train_app.samples.sample import Sample

Vectors: TypeAlias = npt.NDArray[np.float32]

WHOLE_RECORD = "the record"
"""Place of a vector that is a record of its own."""

_LONG_ARRAY = re.compile(rb"\[[-0-9.eE,]{%d,}\]" % (4 * LEAST_DIMS_IN_JSON - 1))
_MEASURED = 500
_LEAST_MEASURED = 20
_GAIN = 0.98
"""Of the untrained coder's bytes: what a space has to make of vectors that it did not see, to be worth its file."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Spaces of a version: fields of its manifest, files, and what was measured."""

    fields: dict[str, Any]
    files: dict[str, bytes]
    measured: list[dict[str, Any]]


def learn_spaces(
    training: Iterable[Sample], held_out: Iterable[Sample], config: TrainConfig, on_space: Callable[[int, int], None]
) -> Learned:
    """The spaces with most vectors, but those that gain nothing on vectors of records that were held out.

    `on_space` is told before each fit how many there were and will be.
    """
    found = _by_place(training, config.max_space_vectors)
    kept_back = _by_place(held_out, _MEASURED)
    most_bytes = config.max_space_bytes
    spaces = [
        (key, vectors)
        for key, vectors in sorted(found.items(), key=lambda item: -len(item[1]))
        if len(vectors) >= max(config.min_space_vectors, key[1]) and 2 * key[1] * key[1] <= most_bytes
    ]
    spaces = spaces[: config.max_vector_spaces]
    learned = Learned({}, {}, [])
    listed: list[dict[str, Any]] = []
    for number, ((place, dims), vectors) in enumerate(spaces):
        on_space(number, len(spaces))
        measured_on = kept_back.get((place, dims), [])
        if len(measured_on) < _LEAST_MEASURED:
            split = max(_LEAST_MEASURED, len(vectors) // 20)
            measured_on, vectors = vectors[:split], vectors[split:]
        if len(vectors) < dims:
            continue
        compressor = LatentCompressor(dims).fit(np.stack(vectors))
        measured = _measured(compressor, np.stack(measured_on))
        if measured["bytes"] > _GAIN * measured["bytes_untrained"]:
            continue
        file = f"vectors-{len(listed)}.safetensors"
        learned.files[file] = compressor.to_safetensors()
        listed.append({"file": file, "dims": dims, "place": place})
        learned.measured.append({"place": place, "dims": dims, "learnt_from": len(vectors), **measured})
    if listed:
        learned.fields["vectors"] = listed
    return learned


def _measured(compressor: LatentCompressor, vectors: Vectors) -> dict[str, Any]:
    """In the mean: bytes of a body, by the space and without one; of vectors of norm 1, squared errors and cosines."""
    untrained = coding.space_of(compressor.input_dim)
    assert untrained is not None  # noqa: S101 - it has few dims
    plain, _, _ = coding.encode(untrained, vectors.tobytes(), len(vectors), "float32", compressor.aim)
    bodies = compressor.encode(vectors)
    errors = directions(compressor.decode(bodies)) - directions(vectors)
    similarity = compressor.similarity(vectors)
    whole = vectors[0].nbytes
    return {
        "vectors": len(vectors),
        "bytes": round(float(np.mean([len(body) for body in bodies])), 1),
        "bytes_untrained": round(float(np.mean([whole if body is None else len(body) for body in plain])), 1),
        "squared_error": round(float((errors**2).sum(axis=1).mean()), 6),
        "cosine_mean": round(similarity.mean, 5),
        "cosine_min": round(similarity.least, 5),
    }


def _by_place(samples: Iterable[Sample], most: int) -> dict[tuple[str, int], list[Vectors]]:
    """Up to `most` vectors of each place and number of dims, each once; those without a direction are left out."""
    found: dict[tuple[str, int], dict[bytes, Vectors]] = defaultdict(dict)
    for sample in samples:
        for place, vector in vectors_in(sample):
            of_place = found[place, len(vector)]
            if len(of_place) < most and len(directions(vector[None])):
                of_place[vector.tobytes()] = vector
    return {key: [*vectors.values()] for key, vectors in found.items()}


def vectors_in(sample: Sample) -> Iterator[tuple[str, Vectors]]:
    """(place, float32 vector) of each that fidelity semantic may change. Indices of lists are left out of a place."""
    with np.errstate(over="ignore"):
        if sample.kind is Kind.ARRAY:
            form, at = arrays.split(sample.canonical)
            if len(form.shape) == 1 and form.type in TYPES and LEAST_DIMS <= form.shape[0] <= MOST_FITTED_DIMS:
                yield WHOLE_RECORD, _numbers(sample.canonical[at:], form.type).astype(np.float32)
        elif sample.kind in (Kind.JSON, Kind.MESSAGES) and _LONG_ARRAY.search(sample.canonical):
            for place, floats in _in_json(json_text.loads(sample.canonical.decode("utf-8", "surrogatepass"))):
                yield place, np.array(floats).astype(np.float32)


def _numbers(data: bytes, type_: str) -> npt.NDArray[np.floating[Any]]:
    if type_ == "bfloat16":
        return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return np.frombuffer(data, np.dtype(type_).newbyteorder("<"))


def _in_json(value: Any) -> Iterator[tuple[str, list[float]]]:
    waiting = [("$", value)]
    while waiting:
        place, held = waiting.pop()
        if isinstance(held, dict):
            waiting += [(f"{place}.{key}", item) for key, item in held.items()]
        elif isinstance(held, list) and all(type(item) is float for item in held):
            if LEAST_DIMS_IN_JSON <= len(held) <= MOST_FITTED_DIMS:
                yield place, held
        elif isinstance(held, list):
            waiting += [(f"{place}[]", item) for item in held]
