"""Writes the golden blobs. Run once for each new name: it refuses to overwrite a file that exists.

    python tests/golden/make.py

What is made stands in golden_tables/, a file a subject. To add one, append to a table there and to the names in
tests/nbmf/test_golden.py. Nothing is ever changed or removed: these are the records of somebody who kept theirs.
"""

import hashlib
import json
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent / "nbmf"))
sys.path.insert(0, str(Path(__file__).parent.parent / "support"))
sys.path.insert(0, str(Path(__file__).parent))

import counts_versions
import helpers
import networks
import vector_spaces
from golden_tables.dicts import DICT_BLOBS
from golden_tables.frames import ALONE, ALONE_HYBRID, ALONE_PRIMED, COMPACT_BY_THE_PAGE, COMPACT_LEARNED, NUMBERED
from golden_tables.learned import (
    ATTENTION,
    ATTENTION_WITH_COUNTS,
    CNN_WITH_COUNTS,
    COUNTS_BLOBS,
    COUNTS_VERSION,
    GOING_ON_BLOBS,
    HYBRID_WITH_COUNTS,
    LARGE_BLOBS,
    PRIMED,
    PRIMER,
    SEGMENTS_BLOBS,
    SMALL_BLOBS,
)
from golden_tables.parts import as_json, as_wire
from golden_tables.spans import SPANS_BLOBS, SPANS_LEARNED_BLOBS, SPANS_STREAMS
from golden_tables.vectors import SPACES_BLOBS, VECTORS_BLOBS
from golden_tables.without_version import BLOBS, SHORT_DEFLATE_BLOBS

from nbmf import Codec, builtin, frame, manifest, varint
from nbmf.coders import (
    NAMES,
    CountsCoder,
    FloatsCoder,
    NeuralCoder,
    SegmentsCoder,
    VectorsCoder,
    WindowsCoder,
    spans,
)
from nbmf.coders.windows import layout
from nbmf.payload import from_canonical, to_canonical

HERE = Path(__file__).parent
VERSION_NAME = "golden-1"
WITH_SPACES = "golden-spaces"  # of vectors
_SIZES = {
    HYBRID_WITH_COUNTS: networks.TWO_STEPS,
    CNN_WITH_COUNTS: {"layer_kinds": "ccc", "n_layers": 3},
    PRIMED: networks.TWO_STEPS,
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
    files = networks.untrained_files(**_SIZES.get(name, {}))
    if name != ATTENTION:
        files = counts_versions.add_counts(files, counts_versions.sample_counts(files))
        primer = PRIMER if name == PRIMED else ()
        folder = counts_versions.write_counts_version(HERE / "versions", files, network=True, name=name, primer=primer)
        return _keep(folder)
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
    """In two segments, or in a window."""
    if isinstance(coder, SegmentsCoder):
        return _cut(coder, kind, canonical, 2)
    return coder._smallest(kind, canonical) if isinstance(coder, WindowsCoder) else coder.encode(kind, canonical)


def _within(coder, kind, canonical, budget_ms):
    return coder.encode_batch([(kind, canonical)], budget_ms)[0]


def _going_on(coder, kind, canonical):
    """A third by the network, one behind it, and one behind that."""
    ends = [0, len(canonical) // 3, 2 * len(canonical) // 3, len(canonical)]
    codec = coder._parts[CountsCoder.number].codec()
    first, second, third = (codec.tokens(canonical[begin:end]) for begin, end in pairwise(ends))
    by_network = coder._by(NeuralCoder.number, kind, [first])
    return layout.write_layout(
        [], len(canonical), [*by_network, coder._behind(kind, first, second), coder._behind(kind, second, third)]
    )


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
    return blob, described | {"payload_bytes": len(canonical), "expected": as_wire(from_canonical(kind, canonical))}


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
    expected = as_json(decoded) if parsed.coder in spans.NAMES else as_wire(decoded)
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
        "expected": as_json(codec.decode(blob)),
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
    small = [_small_version(name) for name in (ATTENTION_WITH_COUNTS, HYBRID_WITH_COUNTS, PRIMED)]
    versions = (*small, COUNTS_VERSION)
    for version, blobs in zip(versions, (ALONE, ALONE_HYBRID, ALONE_PRIMED, NUMBERED), strict=True):
        for name, (expected, coder) in blobs.items():
            _write_pair(name, *_learned(expected, version, coder, pack=frame.pack))


def main():
    before = (HERE / "SHA256SUMS").read_bytes()
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
    for name, (expected, version) in GOING_ON_BLOBS.items():
        folder = version if version == COUNTS_VERSION else _small_version(version)
        _write_pair(name, *_learned(expected, folder, WindowsCoder, _going_on))
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
    if (HERE / "SHA256SUMS").read_bytes() == before:
        print("nothing to do")


if __name__ == "__main__":
    main()
