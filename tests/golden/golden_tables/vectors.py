"""Vectors: whole, up to a cosine, and by learned spaces."""

import random

import ml_dtypes
import numpy as np
import torch
import vector_spaces
from golden_tables.parts import F4, SENTENCES

from nbmf.vectors import Aim

_OWN_RNG = random.Random(12)
_UNIT = np.array([_OWN_RNG.gauss(0, 1) for _ in range(96)])
_UNIT /= np.sqrt((_UNIT * _UNIT).sum())

# name -> (array, how closely it is kept; None for coder floats, which keeps it whole)
VECTORS_BLOBS = {
    "vectors_float32": (_UNIT.astype("<f4"), Aim()),
    "vectors_float16": (_UNIT.astype("<f2"), Aim()),
    "vectors_float64_norm": (_UNIT * 7.3e-9, Aim(least_cosine=0.9999)),
    "vectors_bfloat16": (_UNIT.astype(ml_dtypes.bfloat16), Aim()),
    "vectors_big_endian_coarse": (_UNIT.astype(">f4"), Aim(least_cosine=0.5, step=8)),
    "vectors_tensor": (torch.tensor(_UNIT[:64] / np.linalg.norm(_UNIT[:64]), dtype=torch.float32), Aim()),
    "vectors_eight_outliers": (np.array([1e4, 3, -2, 0.5, 0, -1e3, 1e-3, 1], "<f4"), Aim(least_cosine=0.999999)),
    "floats_float32": (_UNIT.astype("<f4"), None),
    "floats_float16_matrix": (_UNIT.astype("<f2").reshape(12, 8), None),
    "floats_widened": (_UNIT.astype("<f4").astype("<f8"), None),
    "floats_bfloat16_tensor": (torch.tensor(_UNIT).to(torch.bfloat16), None),
    "floats_differences": (1000 + np.cumsum(_UNIT.astype("<f4"), dtype="<f4"), None),
    "floats_second_differences": (np.sqrt(np.arange(80.0) + 900), None),
    "floats_decimals": (_UNIT.round(5), None),
    "floats_special": (np.concatenate([F4, _UNIT.astype("<f4"), [0, 1e30, -1e-40]]).astype("<f4"), None),
}

# By WITH_SPACES, fidelity semantic: name -> the value
_IN_SPACE = vector_spaces.vectors(1, 96, seed=5)[0]
_SHORT_IN_SPACE = [float(str(x)) for x in _IN_SPACE]
SPACES_BLOBS = {
    "vectors_learned_float32": _IN_SPACE,
    "vectors_learned_float16": _IN_SPACE.astype("<f2"),
    "vectors_learned_float64_norm": _IN_SPACE.astype("<f8") * 3e7,
    "vectors_learned_big_endian": vector_spaces.vectors(1, 24, seed=6)[0].astype(">f4"),
    "spans_spaces_binary32": {"id": 7, "embedding": _IN_SPACE.tolist()},
    "spans_spaces_short_binary32": [1, _SHORT_IN_SPACE],
    "spans_spaces_two": {"a": _IN_SPACE.tolist(), "b": _SHORT_IN_SPACE, "c": SENTENCES},
}
