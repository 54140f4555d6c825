"""Writes the golden blobs. Run once for each new name: it refuses to overwrite a file that exists.

    python tests/golden/make.py

To add one, append to `BLOBS` (or `DICT_BLOBS`) here and to the names in tests/nbmf/test_golden.py. Nothing is
ever changed or removed: these are the records of somebody who kept theirs.
"""

import base64
import hashlib
import json
import random
import sys
import textwrap
from functools import partial
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent / "nbmf"))
sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

import counts_versions
import helpers
import ml_dtypes
import networks
import numpy as np
import torch
import vector_spaces
from old_stores import dict_blob_1

import nbmf
from nbmf import Codec, builtin, compat, frame, manifest, stub, varint
from nbmf.coders import (
    NAMES,
    CountsAloneCoder,
    CountsCoder,
    FloatsCoder,
    NeuralAloneCoder,
    NeuralCoder,
    SegmentsCoder,
    VectorsCoder,
    WindowsCoder,
    spans,
)
from nbmf.payload import from_canonical, to_canonical
from nbmf.vectors import Aim
from nbmf.wire import to_wire

HERE = Path(__file__).parent
VERSION_NAME = "golden-1"
ATTENTION, ATTENTION_WITH_COUNTS = "golden-attention", "golden-attention-counts"
HYBRID_WITH_COUNTS = "golden-hybrid-counts"  # both kinds of layers, softmax in two steps
WITH_SPACES = "golden-spaces"  # of vectors
_RNG = random.Random(2026)
_RECORD = helpers.record(_RNG)
_SENTENCES = " ".join(helpers.sentence(_RNG) for _ in range(8))
_STATE = {"user": {"name": "Ada", "tags": ["a", "b"] * 5}, "z": -0.0, "a": [1, 1.0, True, None, 2**70, 1e-7]}
_SMOOTH = np.cumsum(np.array([_RNG.gauss(0, 1) for _ in range(64)]))
_NOISE = _RNG.randbytes(40)


def _json(value):
    return {"json": value}


def _array(array):
    return {"array": {"dtype": array.dtype.str, "shape": list(array.shape), "hex": array.tobytes().hex()}}


def _wire(array):
    """Of any type, byte order and library."""
    return {"wire": to_wire(array)}


def _specials(dtype, bits):
    """NaN with a payload, both infinities, -0.0, the smallest subnormal, one."""
    return np.array(bits, f"<u{dtype[2]}").view(dtype)


_F2 = _specials("<f2", [0x7E01, 0x7C00, 0xFC00, 0x8000, 0x0001, 0x3C00])
_F4 = _specials("<f4", [0x7FC00001, 0x7F800000, 0xFF800000, 0x80000000, 0x00000001, 0x3F800000])
_F8 = _specials("<f8", [0x7FF8 << 48 | 1, 0x7FF0 << 48, 0xFFF0 << 48, 1 << 63, 1, 0x3FF0 << 48])

_NUMBERS = (
    '{"price":1.50,"far":[1e400,-1E-400],"digits":0.1234567890123456789012345,"none":-0,"plain":[1.5,1e-07,-0.0]}'
)

# name -> (description of the payload, coder, fidelity)
BLOBS = {
    "stored_b2_text": (_json("Remember the milk, 東京, \ud800 alone."), "stored", "lossless"),
    "stored_b2_text_empty": (_json(""), "stored", "lossless"),
    "stored_b3_messages": (_json(_RECORD), "stored", "lossless"),
    "stored_b4_json": (_json(_STATE), "stored", "lossless"),
    "stored_b4_json_null": (_json(None), "stored", "lossless"),
    "stored_b4_json_floats": (
        _json([0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308, 1e16, 0.1]),
        "stored",
        "lossless",
    ),
    "stored_b4_json_strings": (
        _json({"": [], "\x00\x1f\x7f": '"\\/\b\f\n\r\t', "\u2028": "\udfff\ud800", "é": {"\U0010ffff": ""}}),
        "stored",
        "lossless",
    ),
    "stored_b5_bytes": ({"hex": _NOISE.hex()}, "stored", "lossless"),
    "stored_b5_bytes_empty": ({"hex": ""}, "stored", "lossless"),
    "stored_b6_matrix": (_array(_F4.reshape(2, 3)), "stored", "lossless"),
    "stored_b6_no_rows": (_array(np.zeros((0, 300), "<f2")), "stored", "lossless"),
    "stored_b7_float16": (_array(_F2), "stored", "lossless"),
    "stored_b8_float32": (_array(_F4), "stored", "lossless"),
    "stored_b9_float64": (_array(_F8), "stored", "lossless"),
    "zstd_text": (_json(_SENTENCES), "zstd", "lossless"),
    "zstd_text_semantic_flag": (_json(_SENTENCES), "zstd", "semantic"),
    "zstd_text_two_blocks": ({"repeat": {"text": "All work and no play. ", "times": 9_000}}, "zstd", "lossless"),
    "zstd_messages": (_json(_RECORD), "zstd", "lossless"),
    "zstd_json": (_json(_STATE), "zstd", "lossless"),
    "zstd_json_deep": ({"nested": {"levels": 5_000, "shape": "mixed"}}, "zstd", "lossless"),
    "zstd_json_long_integer": (
        {"power_sum": {"sign": -1, "base": 10, "exponent": 5_000, "plus": 7}},
        "zstd",
        "lossless",
    ),
    "zstd_bytes": ({"hex": (_NOISE * 4).hex()}, "zstd", "lossless"),
    "zstd_array": (_array(np.zeros((4, 8), "<f8")), "zstd", "lossless"),
    "zstd_dictionary_text": (_json(_SENTENCES), "zstd_dictionary", "lossless"),
    "zstd_dictionary_messages": (_json(_RECORD), "zstd_dictionary", "lossless"),
    "zstd_dictionary_json": (_json(_STATE), "zstd_dictionary", "lossless"),
    "zstd_dictionary_bytes": ({"hex": json.dumps(_RECORD).encode().hex()}, "zstd_dictionary", "lossless"),
    "zstd_dictionary_array": (_array(np.ones(16, "<f4")), "zstd_dictionary", "lossless"),
    "byte_planes_float16": (_array(_SMOOTH.astype("<f2")), "byte_planes", "lossless"),
    "byte_planes_float32": (_array(_SMOOTH.astype("<f4")), "byte_planes", "lossless"),
    "byte_planes_float64": (_array(_SMOOTH), "byte_planes", "lossless"),
    "byte_planes_matrix": (_array(_SMOOTH.astype("<f4").reshape(4, 16)), "byte_planes", "lossless"),
    "stored_b4_json_numbers": ({"json_text": _NUMBERS}, "stored", "lossless"),
    "zstd_json_numbers": ({"json_text": f"[{_NUMBERS},{_NUMBERS},{_NUMBERS}]"}, "zstd", "lossless"),
    "stored_b6_big_endian": (_wire(_SMOOTH.astype(">f4")), "stored", "lossless"),
    "stored_b6_no_dimensions": (_wire(np.array(7, "<u2")), "stored", "lossless"),
    "stored_b6_bool": (_wire(np.array([[True, False], [False, True]])), "stored", "lossless"),
    "stored_b6_bfloat16": (_wire(_F4.astype(ml_dtypes.bfloat16)), "stored", "lossless"),
    "stored_b6_tensor": (_wire(torch.arange(6, dtype=torch.int16).reshape(2, 3)), "stored", "lossless"),
    "byte_planes_big_endian": (_wire((_SMOOTH * 1e6).astype(">i8")), "byte_planes", "lossless"),
    "byte_planes_tensor_bfloat16": (_wire(torch.arange(64).to(torch.bfloat16)), "byte_planes", "lossless"),
}

_OCTETS = _RNG.randbytes(75)
_BASE64 = base64.b64encode(_OCTETS).decode()
_PROSE = base64.b64encode(b"The customer asked twice for a seat by the window, and for no calls before nine.").decode()
_LINES = textwrap.wrap(base64.b64encode(_OCTETS * 3 + b"!").decode(), 76)
_SINGLES = [_RNG.gauss(0, 0.05) for _ in range(24)]
_DOUBLES = np.array(_SINGLES, "<f4").astype("<f8").tolist()
_SHORTEST = [float(np.format_float_scientific(single)) for single in np.array(_SINGLES, "<f4")]
_SIGNED = [{"role": "assistant", "content": _SENTENCES, "signature": _BASE64}]

# As above; the last is the coder of what remains beside spans
SHORT_DEFLATE_BLOBS = {
    "deflate_text": (_json(_SENTENCES), "deflate", "lossless", None),
    "deflate_messages": (_json(_RECORD), "deflate", "lossless", None),
    "deflate_json": (_json(_STATE), "deflate", "lossless", None),
    "deflate_bytes": ({"hex": (_NOISE * 4).hex()}, "deflate", "lossless", None),
}
SPANS_BLOBS = {
    "spans_text": (_json(f"padded {_BASE64}AA== and not {_BASE64}."), "spans", "lossless", "stored"),
    "spans_messages": (_json(_SIGNED), "spans", "lossless", "zstd"),
    "spans_messages_semantic_flag": (_json(_SIGNED), "spans", "semantic", "deflate"),
    "spans_url_safe": (
        _json({"a": base64.urlsafe_b64encode(_OCTETS + b"?").decode(), "b": _BASE64.translate({43: 45, 47: 95})}),
        "spans",
        "lossless",
        "deflate",
    ),
    "spans_lines": (_json("\n".join(_LINES) + "\n" + "\r\n".join(_LINES)), "spans", "lossless", "zstd"),
    "spans_lines_escaped": (_json(["\n".join(_LINES), "\r\n".join(_LINES)]), "spans", "lossless", "stored"),
    "spans_in_place": (_json({"content": _PROSE, "more": [_PROSE, _BASE64]}), "spans", "lossless", "deflate"),
    "spans_hexadecimal": (_json([_OCTETS.hex(), _OCTETS.hex().upper()]), "spans", "lossless", "stored"),
    "spans_binary32": (_json({"embedding": _DOUBLES}), "spans", "lossless", "deflate"),
    "spans_short_binary32": (_json({"a": _SHORTEST, "b": _DOUBLES}), "spans", "lossless", "zstd"),
    "spans_binary64": (_json({"embedding": _SINGLES}), "spans", "lossless", "stored"),
    "spans_decimals": (_json([round(x, 4) for x in _SINGLES] + [-0.0, 1e-05]), "spans", "lossless", "stored"),
    "spans_of_all_sorts": (
        _json(f"{_SINGLES} {json.dumps(_DOUBLES, indent=1)} {_BASE64} {[round(x, 2) for x in _SINGLES]} {_PROSE}"),
        "spans",
        "lossless",
        "deflate",
    ),
    "spans_learned_messages": (_json([*_RECORD, *_SIGNED]), "spans_learned", "lossless", "zstd_dictionary"),
    "spans_learned_text": (_json(f"{_SENTENCES} {_SINGLES}"), "spans_learned", "lossless", "zstd_dictionary"),
}

# what decoding gives
_LEARNED = {
    "text": _json("Remember that Anna prefers the window seat, and that the invoice of March is open. " * 2),
    "text_foreign": _json("東京 and Zürich, \ud800 alone, \x00 too."),
    "messages": _json(_RECORD),
    "json": _json(_STATE),
    "json_long": _json([{"id": i, "name": f"step {i}", "done": i % 3 == 0} for i in range(40)]),
}


# name -> (what decoding gives, coder); by small versions with a network that has learnt nothing: attention alone, and
# the same beside static counts
def _with_counts(prefix):
    return {
        f"{prefix}_{coder.name}_{name}": (expected, coder)
        for coder in (NeuralCoder, CountsCoder)
        for name, expected in _LEARNED.items()
        if coder is CountsCoder or name != "json_long"  # which is too long for that network
    }


SMALL_BLOBS = {
    ATTENTION: {f"attention_{name}": (expected, NeuralCoder) for name, expected in _LEARNED.items()},
    ATTENTION_WITH_COUNTS: _with_counts("attention"),
    HYBRID_WITH_COUNTS: _with_counts("hybrid"),
}

# name -> (what decoding gives, coder); by the first built-in version that has static counts
COUNTS_VERSION = "5ab1176a1ebd3e4556571b8264d04a3581e51b418cfb75660c0aad66e6b2dc13"
COUNTS_BLOBS = {
    "counts_text": (_LEARNED["text"], CountsCoder),
    "counts_text_foreign": (_LEARNED["text_foreign"], CountsCoder),
    "counts_messages": (_LEARNED["messages"], CountsCoder),
    "counts_json": (_LEARNED["json"], CountsCoder),
    "counts_json_long": (_LEARNED["json_long"], CountsCoder),
    "neural_counts_text": (_LEARNED["text"], NeuralCoder),
    "neural_counts_text_foreign": (_LEARNED["text_foreign"], NeuralCoder),
    "neural_counts_messages": (_LEARNED["messages"], NeuralCoder),
    "neural_counts_json": (_LEARNED["json"], NeuralCoder),
    "neural_counts_json_long": (_LEARNED["json_long"], NeuralCoder),
}

# name -> (what decoding gives, segments); by the network of COUNTS_VERSION
SEGMENTS_BLOBS = {
    "segments_two": (_LEARNED["text"], 2),
    "segments_foreign": (_LEARNED["text_foreign"], 3),
    "segments_four": (_LEARNED["json_long"], 4),
}

# name -> (what decoding gives, coder of what remains)
SPANS_LEARNED_BLOBS = {
    "spans_learned_neural": (_json(_SIGNED), NeuralCoder),
    "spans_learned_counts": (_json({"content": _PROSE, "embedding": _DOUBLES}), CountsCoder),
    "spans_learned_segments": (_json([*_RECORD, *_SIGNED]), SegmentsCoder),
}

# What a history of states holds again and again, and bytes that are mostly text.
_HISTORY = {"history": {"messages": _LEARNED["json_long"]["json"]}}
_PACKED = {"hex": (b"\x87\xa1v\x04\xa2ts\xd9 2026-11-25T23:27:37\xa2id\xd9$" + json.dumps(_RECORD).encode()).hex()}

# name -> (what decoding gives, coder, latency budget in ms); by COUNTS_VERSION
LARGE_BLOBS = {
    "windows_history": (_HISTORY, WindowsCoder, None),
    "windows_network": (_HISTORY, WindowsCoder, 100),
    "windows_counts_and_zstd": (_HISTORY, WindowsCoder, 1),
    "neural_bytes": (_PACKED, NeuralCoder, None),
    "counts_bytes": (_PACKED, CountsCoder, None),
}

# By the codec's first version and what needs none (COMPACT_BY_THE_PAGE), else by ATTENTION_WITH_COUNTS: a blob of each
# coder and kind that have a compact frame. All blobs above are in full or short frames.
_SHORT = {
    "text": _LEARNED["text"],
    "messages": _LEARNED["messages"],
    "json": _LEARNED["json"],
    "bytes": {"hex": b"\x83\xa2id\x07\xa4name\xa3Ada\xa4note\xd9 Anna prefers the window seat, ".hex()},
}
_WITH_SPANS = {"text": _json(f"a key {_BASE64}."), "messages": _json(_SIGNED), "json": _json([_OCTETS.hex(), _BASE64])}
COMPACT_BY_THE_PAGE = {
    f"compact_{coder}_{kind}": (expected, coder, "lossless", inner)
    for coder, inner, of_kinds in (
        ("zstd", None, _SHORT),
        ("zstd_dictionary", None, _SHORT),
        ("spans", "zstd", _WITH_SPANS),
        ("spans_learned", "zstd_dictionary", _WITH_SPANS),
    )
    for kind, expected in of_kinds.items()
}
COMPACT_LEARNED = {
    f"compact_{coder.name}_{kind}": (expected, coder)
    for coder in (NeuralCoder, CountsCoder, SegmentsCoder, WindowsCoder)
    for kind, expected in _SHORT.items()
}


def _alone(prefix):
    return {
        f"{prefix}_{coder.name}_{kind}": (expected, coder)
        for coder in (NeuralAloneCoder, CountsAloneCoder)
        for kind, expected in _SHORT.items()
    }


# by ATTENTION_WITH_COUNTS, by HYBRID_WITH_COUNTS, by COUNTS_VERSION, which has a number
ALONE, ALONE_HYBRID, NUMBERED = _alone("alone"), _alone("alone_hybrid"), _alone("numbered")
_OWN_RNG = random.Random(12)
_UNIT = np.array([_OWN_RNG.gauss(0, 1) for _ in range(96)])
_UNIT /= np.sqrt((_UNIT * _UNIT).sum())

# name -> (array, how closely it is kept; None for coder floats, which keeps it whole)
# name -> (value, fidelity)
_EMBEDDING = (np.random.default_rng(11).normal(size=96) / 40).tolist()
_EMBEDDING_32 = np.array(_EMBEDDING, dtype=np.float32)
_WIDENED, _SHORT_DIGITS = _EMBEDDING_32.tolist(), [float(str(x)) for x in _EMBEDDING_32]
SPANS_STREAMS = {
    "spans_floats_binary32": ({"id": 7, "embedding": _WIDENED}, "lossless"),
    "spans_floats_short_binary32": ([_SHORT_DIGITS, _SHORT_DIGITS[:30]], "lossless"),
    "spans_floats_binary64": ({"a": _EMBEDDING, "b": [0.5, *_DOUBLES[:9]]}, "lossless"),
    "spans_floats_decimals": ([round(x, 6) for x in _EMBEDDING], "lossless"),
    "spans_vectors_binary32": ({"id": 7, "embedding": _WIDENED}, "semantic"),
    "spans_vectors_short_binary32": ({"a": _SHORT_DIGITS, "b": _EMBEDDING, "c": _DOUBLES[:9]}, "semantic"),
}

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
    "floats_special": (np.concatenate([_F4, _UNIT.astype("<f4"), [0, 1e30, -1e-40]]).astype("<f4"), None),
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
    "spans_spaces_two": {"a": _IN_SPACE.tolist(), "b": _SHORT_IN_SPACE, "c": _SENTENCES},
}

_SEMANTIC = nbmf.Codec().encode(_WIDENED, "semantic")

# name -> (what decoding gives, the dict blob)
DICT_BLOBS = {
    "stub_lossless": (_json(_RECORD), stub.encode(_RECORD, "lossless")),
    "stub_semantic_text": (_json("a preview of it"), stub.encode(" a preview \n of  it ")),
    "stub_semantic_json": (_json('{"a": [1], "b": "é"}'), stub.encode({"b": "é", "a": [1]})),
    "compat_nbmf_1": (_json(_RECORD), dict_blob_1(nbmf.encode(_RECORD), _RECORD)),
    "compat_nbmf_2": (_json(_RECORD), compat.wrap(nbmf.encode(_RECORD))),
    "compat_nbmf_2_text": (_json("é"), compat.wrap(nbmf.encode("é"))),
    "compat_nbmf_2_semantic": (_json(nbmf.decode(_SEMANTIC)), compat.wrap(_SEMANTIC)),
}


def _write(path, content):
    with path.open("xb") as file:  # x: never over one that exists
        file.write(content)
    line = f"{hashlib.sha256(content).hexdigest()}  {path.relative_to(HERE)}\n"
    with (HERE / "SHA256SUMS").open("a") as sums:
        sums.write(line)


def _write_pair(name, blob, description):
    if (HERE / f"{name}.blob").exists():
        return
    _write(HERE / f"{name}.blob", blob)
    _write(HERE / f"{name}.json", (json.dumps(description, indent=1) + "\n").encode())
    print(name)


def _kept(name):
    """The folder of the version that is called so, if it was made before."""
    for folder in (HERE / "versions").glob("*"):
        if json.loads((folder / manifest.MANIFEST).read_bytes())["name"] == name:
            return folder
    return None


def _keep(folder):
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        path.unlink()
        _write(path, content)
    return folder


def _version():
    folder = _kept(VERSION_NAME)
    if not folder:
        folder = _keep(HERE / "versions" / helpers.write_version(HERE / "versions", VERSION_NAME, seed=2026))
    return Codec(*manifest.read_version(folder))


def _small_version(name):
    if folder := _kept(name):
        return folder
    files = networks.untrained_files(**(networks.TWO_STEPS if name == HYBRID_WITH_COUNTS else {}))
    if name != ATTENTION:
        files = counts_versions.add_counts(files, counts_versions.sample_counts(files))
        return _keep(counts_versions.write_counts_version(HERE / "versions", files, network=True, name=name))
    return _keep(networks.write_neural_version(HERE / "versions", files, name=name))


def _learned(expected, version, coder, encode=lambda coder, *record: coder.encode(*record), pack=frame.pack_full):
    """(blob, description) by a built-in version's coder, whether or not it is the smallest."""
    codec = Codec(*manifest.read_version(builtin.FOLDER / version))  # or a folder elsewhere
    kind, canonical = to_canonical(helpers.build(expected))
    body = encode(codec.coders.by_number[coder.number], kind, canonical)
    blob = pack(kind, coder.number, "lossless", codec.reference, codec.coders.seed, canonical, body)
    description = {"format": "blob", "kind": kind.label, "coder": coder.name, "fidelity": "lossless", "codec": codec.id}
    return blob, {**description, "payload_bytes": len(canonical), "expected": expected}


def _spans_learned(expected, version, coder):
    """(blob, description) of spans, with what remains by a built-in version's coder."""
    codec = Codec(*manifest.read_version(builtin.FOLDER / version))
    kind, canonical = to_canonical(helpers.build(expected))
    cut = spans.cut(kind, canonical)
    body = cut.body(coder.number, codec.coders.by_number[coder.number].encode(kind, cut.remaining))
    number = spans.NUMBER_WITH_REFERENCE
    blob = frame.pack_full(kind, number, "lossless", codec.reference, codec.coders.seed, canonical, body)
    described = {"format": "blob", "kind": kind.label, "coder": spans.NAMES[number], "fidelity": "lossless"}
    described |= {"codec": codec.id, "inner": coder.name, "payload_bytes": len(canonical), "expected": expected}
    return blob, described


def _cut(coder, kind, canonical, segments):
    return coder.encode(kind, canonical, segments)


def _of_any_size(coder, kind, canonical):
    """In two segments, or windows of what is too small for a writer to cut."""
    if isinstance(coder, SegmentsCoder):
        return _cut(coder, kind, canonical, 2)
    return coder._smallest(kind, canonical) if isinstance(coder, WindowsCoder) else coder.encode(kind, canonical)


def _within(coder, kind, canonical, budget_ms):
    return coder.encode_batch([(kind, canonical)], budget_ms)[0]


def _write_by_the_page(codec, name, expected, coder, fidelity, inner, full):
    kind, canonical = to_canonical(helpers.build(expected))
    blob = helpers.blob_with(kind, coder, canonical, codec, fidelity, inner, full)
    description = {
        "format": "blob",
        "kind": kind.label,
        "coder": coder,
        "fidelity": fidelity,
        "codec": codec.id if coder in ("zstd_dictionary", "spans_learned") else None,
        **({"inner": inner} if inner else {}),
        "payload_bytes": len(canonical),
        "expected": expected,
    }
    _write_pair(name, blob, description)


def _vectors(array, aim):
    kind, canonical = to_canonical(array)
    if aim is None:
        coder, fidelity, body = FloatsCoder(), "lossless", FloatsCoder().encode(kind, canonical)
    else:
        coder, fidelity = VectorsCoder(), "semantic"
        canonical, body, _ = coder.approximate(kind, canonical, aim)
    blob = frame.pack(kind, coder.number, fidelity, b"", b"", canonical, body)
    described = {"format": "blob", "kind": kind.label, "coder": coder.name, "fidelity": fidelity, "codec": None}
    return blob, described | {"payload_bytes": len(canonical), "expected": _wire(from_canonical(kind, canonical))}


def _by_spaces(value):
    """By the version's spaces, of 96 and of 24 dims."""
    folder = _kept(WITH_SPACES)
    if not folder:
        compressors = [vector_spaces.compressor(dims) for dims in (96, 24)]
        folder = _keep(vector_spaces.write(HERE / "versions", compressors, name=WITH_SPACES))
    codec = Codec(*manifest.read_version(folder))
    blob = codec.encode(value, "semantic")
    parsed, decoded = frame.parse(blob), codec.decode(blob)
    described = {"format": "blob", "kind": parsed.kind.label, "coder": NAMES[parsed.coder], "fidelity": "semantic"}
    described |= {"inner": NAMES[spans.inner_coder(parsed.body)]} if parsed.coder in spans.NAMES else {}
    expected = _json(decoded) if parsed.coder in spans.NAMES else _wire(decoded)
    return blob, described | {"codec": codec.id, "payload_bytes": parsed.payload_bytes, "expected": expected}


def _streams_in_spans(value, fidelity):
    """Numbers of JSON in streams of their own."""
    codec = Codec()
    blob = codec.encode(value, fidelity)
    described = {"format": "blob", "kind": "json", "coder": "spans", "fidelity": fidelity, "codec": None}
    parsed = frame.parse(blob)
    return blob, described | {
        "inner": NAMES[spans.inner_coder(parsed.body)],
        "payload_bytes": parsed.payload_bytes,
        "expected": _json(codec.decode(blob)),
    }


def _pack_compact(kind, coder, fidelity, reference, seed, canonical, body):
    """A frame that is not written any more: with a length, and three bytes of checksum."""
    (first,) = (first for first, of in frame._COMPACT_FRAMES.items() if of == (kind, coder))
    head = bytes([first]) + reference + varint.to_bytes(len(canonical))
    return head + body + frame._checksum(head, canonical, seed)[:3]


def _write_compact(codec):
    with mock.patch.object(frame, "pack", _pack_compact):
        for name, described in COMPACT_BY_THE_PAGE.items():
            _write_by_the_page(codec, name, *described, full=False)
    for name, (expected, coder) in COMPACT_LEARNED.items():
        folder = _small_version(ATTENTION_WITH_COUNTS)
        _write_pair(name, *_learned(expected, folder, coder, _of_any_size, _pack_compact))


def _write_alone():
    versions = (_small_version(ATTENTION_WITH_COUNTS), _small_version(HYBRID_WITH_COUNTS), COUNTS_VERSION)
    for version, blobs in zip(versions, (ALONE, ALONE_HYBRID, NUMBERED), strict=True):
        for name, (expected, coder) in blobs.items():
            _write_pair(name, *_learned(expected, version, coder, pack=frame.pack))


def main():
    codec = _version()
    for version, blobs in SMALL_BLOBS.items():
        folder = _small_version(version)
        for name, (expected, coder) in blobs.items():
            _write_pair(name, *_learned(expected, folder, coder))
    for name, (expected, coder) in COUNTS_BLOBS.items():
        _write_pair(name, *_learned(expected, COUNTS_VERSION, coder))
    for name, (expected, segments) in SEGMENTS_BLOBS.items():
        cut = partial(_cut, segments=segments)
        _write_pair(name, *_learned(expected, COUNTS_VERSION, SegmentsCoder, cut))
    for name, (expected, coder, budget_ms) in LARGE_BLOBS.items():
        within = partial(_within, budget_ms=budget_ms)
        _write_pair(name, *_learned(expected, COUNTS_VERSION, coder, within))
    for name, (expected, coder) in SPANS_LEARNED_BLOBS.items():
        _write_pair(name, *_spans_learned(expected, COUNTS_VERSION, coder))
    blobs = {name: (*described, None) for name, described in BLOBS.items()}
    for name, described in (blobs | SHORT_DEFLATE_BLOBS | SPANS_BLOBS).items():
        _write_by_the_page(codec, name, *described, full=True)
    _write_compact(codec)
    _write_alone()
    for name, (array, aim) in VECTORS_BLOBS.items():
        _write_pair(name, *_vectors(array, aim))
    for name, described in SPANS_STREAMS.items():
        _write_pair(name, *_streams_in_spans(*described))
    for name, value in SPACES_BLOBS.items():
        _write_pair(name, *_by_spaces(value))
    for name, (expected, blob) in DICT_BLOBS.items():
        _write_pair(name, json.dumps(blob).encode(), {"format": "dict", "expected": expected})


if __name__ == "__main__":
    main()
