"""Vectors: bytes against what is left of them, of ours and of what vector databases use.

What is measured is each vector alone, decoded again: its cosine with the original, and how many of the ten nearest of
the other vectors, by cosine, are still found if those are stored in that form and the query is exact.

Suffixes of arrays: V vectors, D dims.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from nbmf import _core
from nbmf.vectors import Aim, LatentCompressor, coding
from nbmf.vectors.aim import DEFAULT_AIM, USUAL_STEP

Vectors: TypeAlias = npt.NDArray[np.float32]
NEIGHBOURS = 10
OURS = "nbmf"
STEPS = (USUAL_STEP - 24, USUAL_STEP - 12, USUAL_STEP, USUAL_STEP + 12)
"""Of quantisation that are measured; the usual one is what `nbmf.encode` and `LatentCompressor` take."""

_RABITQ_BITS = (3, 4, 5)
_ANY = 1e-9
"""A floor that no vector falls below."""


@dataclass(frozen=True, slots=True)
class Coder:
    """encode gives what `bytes_of` measures; decode [V, D].

    Where codes stand for distances alone, `search` [V, 10] in its place: as `nearest`, by what they take these for.
    """

    name: str
    encode: Callable[[Vectors], Any]
    decode: Callable[[Any], Vectors] | None
    bytes_of: Callable[[Any], float]
    search: Callable[[Vectors], npt.NDArray[np.intp]] | None = None


def run(
    vectors_VD: Vectors,
    training_VD: Vectors,
    report: Callable[[str], None] = lambda _: None,
    pq: bool = True,
    steps: Sequence[int] = STEPS,
    rate_weight: float = DEFAULT_AIM.rate_weight,
) -> list[dict[str, Any]]:
    """A row a coder, without cosines where nothing is decoded.

    `training_VD`: other vectors of the space, which the trained ones learn from. `pq`: whether faiss' product
    quantisers are among them. `steps`, `rate_weight`: of ours, as in Aim.
    """
    exact = nearest(vectors_VD, vectors_VD)
    rows = []
    for make in coders(vectors_VD.shape[1], training_VD, pq, steps, rate_weight):
        coder = make()
        report(coder.name)
        begin = time.process_time()
        coded = coder.encode(vectors_VD)
        encode_s = max(time.process_time() - begin, 1e-9)
        row = {
            "coder": coder.name,
            "bytes": round(coder.bytes_of(coded), 1),
            "ratio": round(4 * vectors_VD.shape[1] / coder.bytes_of(coded), 2),
            "encode_per_s": round(len(vectors_VD) / encode_s),
        }
        if coder.decode:
            begin = time.process_time()
            decoded_VD = coder.decode(coded)
            decode_s = max(time.process_time() - begin, 1e-9)
            cosine_V = cosines(vectors_VD, decoded_VD)
            row |= {
                "cosine_mean": round(float(cosine_V.mean()), 5),
                "cosine_p5": round(float(np.percentile(cosine_V, 5)), 5),
                "cosine_min": round(float(cosine_V.min()), 5),
                "decode_per_s": round(len(vectors_VD) / decode_s),
            }
            found = nearest(vectors_VD, decoded_VD)
        if coder.search:
            found = coder.search(vectors_VD)
        rows.append(row | {"recall_10": round(recall(exact, found), 4)})
    return rows


def cosines(a_VD: Vectors, b_VD: Vectors) -> npt.NDArray[np.float64]:
    """Of each vector with its own."""
    a, b = a_VD.astype(np.float64), b_VD.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    result: npt.NDArray[np.float64] = (a * b).sum(axis=1) / np.maximum(lengths, 1e-300)
    return result


def nearest(queries_VD: Vectors, stored_VD: Vectors) -> npt.NDArray[np.intp]:
    """[V, 10]: of each query the nearest of the stored vectors but the one in its own place."""
    q, s = queries_VD.astype(np.float64), stored_VD.astype(np.float64)
    scores = q @ (s / np.maximum(np.linalg.norm(s, axis=1, keepdims=True), 1e-300)).T
    np.fill_diagonal(scores, -np.inf)
    result: npt.NDArray[np.intp] = np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]
    return result


def recall(exact: npt.NDArray[np.intp], found: npt.NDArray[np.intp]) -> float:
    """Share of the nearest that are among those found."""
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(exact, found, strict=True)]))


def coders(
    dims: int, training_VD: Vectors, pq: bool, steps: Sequence[int], rate_weight: float
) -> list[Callable[[], Coder]]:
    """What is compared; each is made when its turn comes."""
    compressor = LatentCompressor(dims).fit(training_VD)
    makers: list[Callable[[], Coder]] = [_float16, _int8]
    aims = [Aim(_ANY, step, rate_weight) for step in steps]
    makers += [_maker(_rotated, dims, aim) for aim in aims]
    makers += [_maker(_fitted, compressor, aim) for aim in aims]
    if find_spec("faiss") is not None:
        equal = [m for m in range(1, dims + 1) if dims % m == 0 and m <= 4 * dims // 9]
        product = [*(f"PQ{m}" for m in equal[-1:]), *(f"OPQ{m}_{dims},PQ{m}" for m in equal[-1:])]
        names = ["SQ8", "SQ4", *(product if pq else [])]
        makers += [_maker(_faiss, dims, name, training_VD) for name in names]
        makers += [_maker(_rabitq, dims, bits, training_VD) for bits in _RABITQ_BITS if _has_rabitq()]
    return makers


def _maker(make: Callable[..., Coder], *args: Any) -> Callable[[], Coder]:
    return lambda: make(*args)


def _float16() -> Coder:
    return Coder("float16", lambda x: x.astype(np.float16), lambda h: h.astype(np.float32), _item_bytes)


def _item_bytes(array: npt.NDArray[Any]) -> float:
    return array.nbytes / len(array)


def _int8() -> Coder:
    """Each vector divided by its largest number, which is kept as a float32."""

    def encode(x_VD: Vectors) -> tuple[npt.NDArray[np.int8], Vectors]:
        scale_V = np.abs(x_VD).max(axis=1, keepdims=True) / np.float32(127)
        return np.rint(x_VD / np.maximum(scale_V, 1e-30)).astype(np.int8), scale_V

    return Coder("int8", encode, lambda c: c[0].astype(np.float32) * c[1], lambda c: _item_bytes(c[0]) + 4)


def _mean_length(bodies: Sequence[bytes]) -> float:
    return sum(map(len, bodies)) / len(bodies)


def _rotated(dims: int, aim: Aim) -> Coder:
    space = _core.VectorSpace(dims)

    def encode(x_VD: Vectors) -> list[bytes]:
        numbers = np.ascontiguousarray(x_VD, dtype="<f4").tobytes()
        return [body for body in coding.encode(space, numbers, len(x_VD), "float32", aim)[0] if body is not None]

    def decode(bodies: list[bytes]) -> Vectors:
        return np.frombuffer(coding.decode(space, bodies, dims, "float32")[0], "<f4").reshape(-1, dims)

    return Coder(f"{OURS}, untrained{_said(aim.step)}", encode, decode, _mean_length)


def _fitted(compressor: LatentCompressor, aim: Aim) -> Coder:
    other = LatentCompressor.from_safetensors(compressor.to_safetensors())
    other.aim = aim
    return Coder(f"{OURS}, trained{_said(aim.step)}", other.encode, other.decode, _mean_length)


def _said(step: int) -> str:
    return "" if step == USUAL_STEP else f", step {step}"


def _faiss(dims: int, factory: str, training_VD: Vectors) -> Coder:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.index_factory(dims, factory)
    index.train(np.ascontiguousarray(training_VD))
    return Coder(f"faiss {factory}", index.sa_encode, index.sa_decode, _item_bytes)


def _has_rabitq() -> bool:
    """Of several bits: faiss has it since 1.13."""
    import faiss

    try:
        faiss.index_factory(8, "RaBitQ3")
    except RuntimeError:
        return False
    return True


def _rabitq(dims: int, bits: int, training_VD: Vectors) -> Coder:
    """J. Gao et al. 2024, "Practical and Asymptotically Optimal Quantization of High-Dimensional Vectors", as faiss has
    it: of so many bits a number; the query is exact."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.index_factory(dims, f"RaBitQ{bits}")
    index.train(np.ascontiguousarray(training_VD))

    def search(x_VD: Vectors) -> npt.NDArray[np.intp]:
        unit_VD = x_VD / np.maximum(np.linalg.norm(x_VD, axis=1, keepdims=True), 1e-30)
        index.add(unit_VD)
        exactly = faiss.RaBitQSearchParameters()
        exactly.qb = 0
        _, found = index.search(unit_VD, NEIGHBOURS + 1, params=exactly)
        return np.array([[i for i in row if i != v][:NEIGHBOURS] for v, row in enumerate(found.tolist())])

    return Coder(f"faiss RaBitQ{bits}", index.sa_encode, None, _item_bytes, search)
