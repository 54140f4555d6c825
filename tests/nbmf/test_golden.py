"""Blobs written once and kept: every later nbmf decodes them to the same payloads."""

import hashlib
import json
import runpy
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import build, same
from page_spans import blocks, canonical_bytes, inflate, varint

import nbmf
from nbmf import _core, compat
from nbmf.coders.deflate_dictionary import DICTIONARY  # a constant of the format; its digest is on the page
from nbmf.payload import from_canonical, to_canonical

GOLDEN = Path(__file__).parent.parent / "golden"
_WITH_COUNTS = [
    "adaptation.mixed.safetensors",
    "adaptation.safetensors",
    "counts.zst",
    "manifest.json",
    "model.safetensors",
    "tokenizer.json",
]
VERSIONS = {
    "eb74cb462463bf5788d959112de7c15ceb59265bb77d058f20166379b8ec6c77": ["manifest.json", "zstd.dict"],
    "67ffd608d56ca045ca451982d341c96403f44673c28321ccafae401cdb67d128": [
        "adaptation.safetensors",
        "manifest.json",
        "model.safetensors",
        "tokenizer.json",
    ],
    "7310dfd8f2079a3084999a217ffcfac8fb24e2fc8425660c4751ca67a644295d": _WITH_COUNTS,
    "09a4de36ca6e3bcc2adca7ea72577b98cc075ab78ab18b5fbb0812d51b3bd316": _WITH_COUNTS,
    "4a0c135d3eb774b2e993e70f2d26be396dedbc88c140eab2f3421129d53d271b": _WITH_COUNTS,
    "5875b983d89476f08c7f3a228dd64032b190d0d46a830813b3cc67d39ca7aba8": [*_WITH_COUNTS, "primer.json"],
    "146623f85b7df8b39e503cb73c7daa960039734b17d556a09c766036efaf3d85": [
        "golden.json",
        "manifest.json",
        "vectors-0.safetensors",
        "vectors-1.safetensors",
    ],
}

# Append only. A file that is missing here, or there, fails.
BLOBS = [
    "stored_b2_text",
    "stored_b2_text_empty",
    "stored_b3_messages",
    "stored_b4_json",
    "stored_b4_json_null",
    "stored_b4_json_floats",
    "stored_b4_json_strings",
    "stored_b5_bytes",
    "stored_b5_bytes_empty",
    "stored_b6_matrix",
    "stored_b6_no_rows",
    "stored_b7_float16",
    "stored_b8_float32",
    "stored_b9_float64",
    "zstd_text",
    "zstd_text_semantic_flag",
    "zstd_text_two_blocks",
    "zstd_messages",
    "zstd_json",
    "zstd_json_deep",
    "zstd_json_long_integer",
    "zstd_bytes",
    "zstd_array",
    "zstd_dictionary_text",
    "zstd_dictionary_messages",
    "zstd_dictionary_json",
    "zstd_dictionary_bytes",
    "zstd_dictionary_array",
    "byte_planes_float16",
    "byte_planes_float32",
    "byte_planes_float64",
    "byte_planes_matrix",
    "stored_b4_json_numbers",
    "zstd_json_numbers",
    "stored_b6_big_endian",
    "stored_b6_no_dimensions",
    "stored_b6_bool",
    "stored_b6_bfloat16",
    "stored_b6_tensor",
    "byte_planes_big_endian",
    "byte_planes_tensor_bfloat16",
]
_PAYLOADS = ("text", "text_foreign", "messages", "json", "json_long")
_SMALL = ("attention", "attention_counts", "hybrid_counts", "cnn_counts", "primed_counts")
SMALL_BLOBS = [f"{by}_{payload}" for by in _SMALL for payload in _PAYLOADS]
SMALL_BLOBS += [
    f"{by}_neural_{payload}" for by in ("attention", "hybrid", "cnn", "primed") for payload in _PAYLOADS[:-1]
]
COUNTS_BLOBS = [f"{coder}_{payload}" for coder in ("counts", "neural_counts") for payload in _PAYLOADS]
SHORT_DEFLATE_BLOBS = ["deflate_text", "deflate_messages", "deflate_json", "deflate_bytes"]
SPANS_BLOBS = [
    "spans_text",
    "spans_messages",
    "spans_messages_semantic_flag",
    "spans_url_safe",
    "spans_lines",
    "spans_lines_escaped",
    "spans_in_place",
    "spans_hexadecimal",
    "spans_binary32",
    "spans_short_binary32",
    "spans_binary64",
    "spans_decimals",
    "spans_of_all_sorts",
    "spans_learned_messages",
    "spans_learned_text",
]
SPANS_LEARNED_BLOBS = ["spans_learned_neural", "spans_learned_counts", "spans_learned_segments"]
SEGMENTS_BLOBS = ["segments_two", "segments_foreign", "segments_four"]
LARGE_BLOBS = ["windows_history", "windows_network", "windows_counts_and_zstd", "neural_bytes", "counts_bytes"]
GOING_ON_BLOBS = [f"going_on_{payload}" for payload in ("text", "foreign", "messages", "json", "history")]
_SHORT, _WITH_SPANS = ("text", "messages", "json", "bytes"), ("text", "messages", "json")
COMPACT_BY_THE_PAGE = [f"compact_{coder}_{kind}" for coder in ("zstd", "zstd_dictionary") for kind in _SHORT]
COMPACT_BY_THE_PAGE += [f"compact_{coder}_{kind}" for coder in ("spans", "spans_learned") for kind in _WITH_SPANS]
COMPACT_LEARNED = [
    f"compact_{coder}_{kind}" for coder in ("neural", "counts", "neural_segments", "windows") for kind in _SHORT
]
ALONE, ALONE_HYBRID, ALONE_PRIMED, NUMBERED = (
    [f"{by}_{coder}_{kind}" for coder in ("neural", "counts") for kind in _SHORT]
    for by in ("alone", "alone_hybrid", "alone_primed", "numbered")
)
ALONE_BLOBS = ALONE + ALONE_HYBRID + ALONE_PRIMED + NUMBERED  # their streams tell where they end
VECTORS_BLOBS = [
    "vectors_float32",
    "vectors_float16",
    "vectors_float64_norm",
    "vectors_bfloat16",
    "vectors_big_endian_coarse",
    "vectors_tensor",
    "vectors_eight_outliers",
    "floats_float32",
    "floats_float16_matrix",
    "floats_widened",
    "floats_bfloat16_tensor",
    "floats_differences",
    "floats_second_differences",
    "floats_decimals",
    "floats_special",
]
LEARNED_BLOBS = SMALL_BLOBS + COUNTS_BLOBS + SEGMENTS_BLOBS + SPANS_LEARNED_BLOBS + LARGE_BLOBS + COMPACT_LEARNED
LEARNED_BLOBS += GOING_ON_BLOBS + ALONE_BLOBS
SPANS_STREAMS = [
    "spans_floats_binary32",
    "spans_floats_short_binary32",
    "spans_floats_binary64",
    "spans_floats_decimals",
    "spans_vectors_binary32",
    "spans_vectors_short_binary32",
]
SPACES_BLOBS = [
    "vectors_learned_float32",
    "vectors_learned_float16",
    "vectors_learned_float64_norm",
    "vectors_learned_big_endian",
    "spans_spaces_binary32",
    "spans_spaces_short_binary32",
    "spans_spaces_two",
]
BY_THE_CORE = LEARNED_BLOBS + VECTORS_BLOBS + SPANS_STREAMS + SPACES_BLOBS
BLOBS_BY_THE_PAGE = BLOBS + SHORT_DEFLATE_BLOBS + SPANS_BLOBS + COMPACT_BY_THE_PAGE
COMPAT_BLOBS = ["compat_nbmf_1", "compat_nbmf_2", "compat_nbmf_2_text", "compat_nbmf_2_semantic"]
DICT_BLOBS = ["stub_lossless", "stub_semantic_text", "stub_semantic_json", *COMPAT_BLOBS]


def _read(name):
    return (GOLDEN / f"{name}.blob").read_bytes(), json.loads((GOLDEN / f"{name}.json").read_bytes())


def _files():
    return sorted(
        str(p.relative_to(GOLDEN))
        for p in GOLDEN.rglob("*")
        if p.is_file() and p.suffix not in (".py", ".pyc") and p.name != "SHA256SUMS"
    )


def test_the_files_are_those_expected():
    pairs = [f"{name}.{end}" for name in BLOBS_BY_THE_PAGE + BY_THE_CORE + DICT_BLOBS for end in ("blob", "json")]
    versions = [f"versions/{version}/{file}" for version, files in VERSIONS.items() for file in files]
    assert _files() == sorted(pairs + versions)


def test_no_file_was_changed():
    lines = [line.split("  ") for line in (GOLDEN / "SHA256SUMS").read_text().splitlines()]
    assert sorted(name for _, name in lines) == _files()
    assert [hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() for _, name in lines] == [h for h, _ in lines]


@pytest.mark.parametrize("name", BLOBS_BY_THE_PAGE + BY_THE_CORE)
def test_a_blob_is_decoded_to_what_was_written(name, fresh_default_catalog):
    fresh_default_catalog(GOLDEN / "versions")
    blob, described = _read(name)
    expected = build(described["expected"])
    assert same(nbmf.decode(blob), expected)
    info = nbmf.inspect(blob)
    assert [info.kind, info.coder, info.fidelity] == [described[key] for key in ("kind", "coder", "fidelity")]
    assert info.inner == described.get("inner")
    ends_itself = name in ALONE_BLOBS and info.kind in ("messages", "json")
    assert info.payload_bytes == (None if ends_itself else described["payload_bytes"])
    assert info.codec == (described["codec"][:4] if described["codec"] else None)


@pytest.mark.parametrize("name", DICT_BLOBS)
def test_a_dict_blob_is_decoded_to_what_was_written(name):
    blob, described = _read(name)
    assert same(compat.decode(json.loads(blob)), build(described["expected"]))


def test_all_first_bytes_kinds_and_coders_are_there():
    described = [_read(name)[1] for name in BLOBS]
    first_bytes = {_read(name)[0][0] for name in BLOBS + SHORT_DEFLATE_BLOBS}
    assert first_bytes == {*range(0xB1, 0xBA), *range(0xBC, 0xC0)}
    compact = {_read(name)[0][0] for name in COMPACT_BY_THE_PAGE + COMPACT_LEARNED}
    assert compact == {*range(0x80, 0xA0)} - {0x93, 0x9F}
    assert {_read(name)[0][0] for name in NUMBERED} == {*range(0xA0, 0xA8)}
    assert {_read(name)[0][0] for name in ALONE} == {*range(0xA8, 0xB0)}
    kinds = ("text", "messages", "json", "bytes", "array")
    expected = {(kind, coder) for kind in kinds for coder in ("stored", "zstd", "zstd_dictionary")}
    assert {(d["kind"], d["coder"]) for d in described} == expected | {("array", "byte_planes")}
    inner = {_read(name)[1]["inner"] for name in SPANS_BLOBS + SPANS_LEARNED_BLOBS}
    assert inner == {"stored", "zstd", "deflate", "zstd_dictionary", "neural", "counts", "neural_segments"}


def test_the_versions_are_small():
    for folder in (GOLDEN / "versions").iterdir():
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 250_000


def test_the_generator_overwrites_nothing(tmp_path):
    make = runpy.run_path(str(GOLDEN / "make.py"))
    assert [*make["BLOBS"], *make["DICT_BLOBS"]] == BLOBS + DICT_BLOBS
    assert [*make["SHORT_DEFLATE_BLOBS"], *make["SPANS_BLOBS"]] == SHORT_DEFLATE_BLOBS + SPANS_BLOBS
    assert [*make["VECTORS_BLOBS"]] == VECTORS_BLOBS
    assert [*make["SPANS_STREAMS"], *make["SPACES_BLOBS"]] == SPANS_STREAMS + SPACES_BLOBS
    assert [*make["COMPACT_BY_THE_PAGE"], *make["COMPACT_LEARNED"]] == COMPACT_BY_THE_PAGE + COMPACT_LEARNED
    assert [*make["ALONE"], *make["ALONE_HYBRID"], *make["ALONE_PRIMED"], *make["NUMBERED"]] == ALONE_BLOBS
    kept = tmp_path / "kept.blob"
    kept.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        make["_write"](kept, b"new")
    assert kept.read_bytes() == b"old"


# --- a second reader, written from docs/format.md alone ---------------------------------------------------------


def _array_type(header):
    """(name, bytes of a number) of an array's canonical bytes."""
    number = header[1] & 15 if header[0] & 15 == 15 else header[0] & 15
    floats, integers = [("float16", 2), ("float32", 4), ("float64", 8), ("bfloat16", 2)], [1, 2, 4, 8]
    signed, unsigned = [(f"int{8 * n}", n) for n in integers], [(f"uint{8 * n}", n) for n in integers]
    return [*floats, *signed, *unsigned, ("bool", 1)][number]


def _canonical_bytes(blob, versions):
    """(kind, canonical bytes) by the page: nothing of nbmf is called."""
    if blob[0] >= 0xBC:
        size, at = varint(blob, 1)
        canonical = inflate(blob[at:-3], size, DICTIONARY)
        assert zlib.crc32(blob[:at] + canonical).to_bytes(4, "little")[:3] == blob[-3:]
        return blob[0] - 0xBC, canonical
    if 0xB2 <= blob[0] < 0xBC:
        kind = {0xB2: 0, 0xB3: 1, 0xB4: 2, 0xB5: 3}.get(blob[0], 4)
        elided = {0xB7: b"\x10", 0xB8: b"\x11", 0xB9: b"\x12"}.get(blob[0], b"")
        canonical = elided + blob[1:-3]
        assert zlib.crc32(blob[:1] + canonical).to_bytes(4, "little")[:3] == blob[-3:]
        return kind, canonical
    if blob[0] == 0xB1:
        coder, kind, at, kept = blob[1] & 15, blob[1] >> 4 & 7, 2, 4
    else:
        coder, kind, at, kept = (4, 5, 6, 9, 8, 2, 1, 7)[blob[0] >> 2 & 7], blob[0] & 3, 1, 3
    version = b""
    if coder in (2, 8):
        ((version, folder),) = [(i, f) for i, f in versions if i[:2] == blob[at : at + 2]]
        at += 2
    size, at = varint(blob, at)
    head, body = blob[:at], blob[at:-kept]

    def decode(coder, body, size):
        match coder:
            case 0:
                return body
            case 1:
                return blocks(body, size)
            case 2:
                held = json.loads((folder / "manifest.json").read_bytes())["dictionaries"]
                name = held[("text", "messages", "json", "bytes", "array")[kind]]
                return blocks(body, size, (folder / name).read_bytes())
            case 3:
                header = body[1 : 1 + body[0]]
                planes = blocks(body[1 + body[0] :], size - len(header))
                width = _array_type(header)[1]
                count = len(planes) // width
                return header + bytes(planes[plane * count + i] for i in range(count) for plane in range(width))
            case 7 | 8:
                return canonical_bytes(body, size, decode, DICTIONARY)
            case 11:
                return inflate(body, size, DICTIONARY)
        raise AssertionError(f"coder {coder} is not on the page")

    canonical = decode(coder, body, size)
    assert zlib.crc32(version + head + canonical).to_bytes(4, "little")[:kept] == blob[-kept:]
    return kind, canonical


@pytest.mark.parametrize("name", BLOBS_BY_THE_PAGE)
def test_a_reader_written_from_the_page_agrees(name):
    folders = [GOLDEN / "versions" / v for v in VERSIONS]
    versions = [(hashlib.sha256((f / "manifest.json").read_bytes()).digest(), f) for f in folders]
    blob, described = _read(name)
    kind, canonical = _canonical_bytes(blob, versions)
    expected = build(described["expected"])
    assert (kind, canonical) == to_canonical(expected)
    if kind == 4:
        assert _array_type(canonical)[0] == getattr(expected.dtype, "name", str(expected.dtype).removeprefix("torch."))
    if isinstance(expected, np.ndarray) and canonical[0] in (0x10, 0x11, 0x12):
        assert same(np.frombuffer(canonical[1:], {0: "<f2", 1: "<f4", 2: "<f8"}[canonical[0] & 15]), expected)
    assert same(from_canonical(to_canonical(expected)[0], canonical), expected)


@pytest.mark.parametrize("path", _core.paths())
def test_blobs_of_vectors_on_every_kind_of_processor(path, fresh_default_catalog):
    fresh_default_catalog(GOLDEN / "versions")
    before = _core.cpu()
    try:
        _core.use(path)
        for name in VECTORS_BLOBS + SPACES_BLOBS:
            blob, described = _read(name)
            assert same(nbmf.decode(blob), build(described["expected"])), name
    finally:
        _core.use(before)
