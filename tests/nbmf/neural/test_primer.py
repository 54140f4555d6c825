"""Records behind a primer: what is promised of it, exact round trips by every engine, and files from elsewhere."""

import json
import threading
from array import array

import counts_versions
import pytest

import nbmf
from nbmf import _core, engine, manifest
from nbmf.errors import DamagedCodec, UnsupportedFormat
from nbmf.neural.codec import NeuralCodec, Stream
from nbmf.neural.core import make_model
from nbmf.neural.primer import PrimerRecord, load_primer, save_primer
from train_app.primer import PRIMER_FILE

ROW = '{"track_id":%d,"album":"%s","composer":null,"milliseconds":%d,"unit_price":0.99}'
ROWS = [
    ROW % (3000 + n, album, 250_000 + 977 * n) for n, album in enumerate(("Ballads", "Duets", "Encores", "Nocturnes"))
]
PRIMER = [("structured", row.encode()) for row in ROWS[:3]]
OF_ITS_KIND = ROWS[3].encode()


@pytest.fixture(scope="module")
def files():
    return counts_versions.two_step_files()


def codec_of(files, which, primer=PRIMER):
    content = counts_versions.primer_file(files, primer) if primer else None
    return NeuralCodec.from_files(*counts_versions.parts(files, network=which == "both"), content)


@pytest.fixture(scope="module", params=["counts", "both"])
def which(request):
    return request.param


@pytest.fixture(scope="module")
def primed(files, which):
    return codec_of(files, which)


def given(streams, records):
    return [(stream, len(data), kind) for stream, (data, kind) in zip(streams, records, strict=True)]


def test_a_record_of_the_primers_kind_is_smaller(files, which, primed):
    alone = codec_of(files, which, primer=[])
    assert 2 * len(primed.encode(OF_ITS_KIND, "structured")) < len(alone.encode(OF_ITS_KIND, "structured"))


def test_records_come_back_alone_and_side_by_side(path, files, which, records):
    codec = codec_of(files, which)
    chosen = [
        *records[::9],
        (b"", "text"),
        (OF_ITS_KIND, "structured"),
        (bytes(range(256)), "other"),
        (b"a" * 3000, "text"),
    ]
    streams = codec.encode_batch(chosen)
    assert streams == [codec.encode(*record) for record in chosen], path
    assert codec.decode_batch(given(streams, chosen)) == [data for data, _ in chosen]
    assert [codec.decode(*one) for one in given(streams, chosen)] == [data for data, _ in chosen]


def test_a_copy_ends_where_its_record_does(path, files, which):
    """It went on with the type's id, for a token."""
    codec = codec_of(files, which, [("text", b"x" * 40), ("structured", b"x" * 40), ("text", b"x" * 40)])
    chosen = [(b"x" * length, "text") for length in (1, 39, 40, 41, 300)]
    assert codec.decode_batch(given(codec.encode_batch(chosen), chosen)) == [data for data, _ in chosen], path


def test_records_that_tell_their_size(primed):
    type_id = primed.type_id("structured")
    for sizing in (_core.SIZE_IN_STREAM, _core.SIZE_AT_END):
        stream = primed.model.encode(primed.tokens(OF_ITS_KIND), type_id, sizing)
        _, most_bytes = _core.stream_size(stream, sizing)
        assert primed.decode_batch([Stream(stream, most_bytes, "structured", sizing)]) == [OF_ITS_KIND]


def test_threads_that_decode_together(primed, records):
    chosen = records[::11]
    streams = [primed.encode(*record) for record in chosen]
    results = {}

    def decode(index):
        stream, (data, kind) = streams[index], chosen[index]
        results[index] = primed.model.decode_together([(stream, len(data), primed.type_id(kind), 0)], 3, 2)

    threads = [threading.Thread(target=decode, args=(index,)) for index in range(len(chosen))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[index] for index in range(len(chosen))] == [[data] for data, _ in chosen]


def test_torch_writes_and_reads_the_same_streams(files, records, monkeypatch):
    codec = codec_of(files, "both")
    chosen = [(data[:600], kind) for data, kind in records[::17]] + [(OF_ITS_KIND, "structured")]
    expected = [codec.encode(*record) for record in chosen]
    monkeypatch.setattr(engine, "_engine", engine.Engine("torch"))
    assert codec.encode_batch(chosen) == expected
    assert codec.decode_batch(given(expected, chosen)) == [data for data, _ in chosen]


def test_counts_go_on_behind_others_and_the_primer(files):
    codec = codec_of(files, "counts")
    before, rest = codec.tokens(OF_ITS_KIND[:40]), codec.tokens(OF_ITS_KIND[40:])
    stream = codec.encode_behind(before, rest, "structured")
    assert codec.decode_batch([Stream(stream, len(OF_ITS_KIND) - 40, "structured", before_T=before)]) == [
        OF_ITS_KIND[40:]
    ]


def test_each_record_begins_behind_the_primer_alone(primed, records):
    """Work space that was used before makes no difference."""
    first = primed.encode(OF_ITS_KIND, "structured")
    for record in records[::25]:
        primed.encode(*record)
    assert primed.encode(OF_ITS_KIND, "structured") == first


@pytest.mark.parametrize(
    "primer",
    [[], [(b"", 1)], [(memoryview(b"\xff\xff\xff\x7f").cast("i"), 512)], [(memoryview(bytes(4)).cast("i"), 3)]],
)
def test_a_core_takes_no_other_primers(files, primer):
    """No record is no primer; the others are none."""
    codec = codec_of(files, "counts", primer=[])
    parts = codec.tokenizer.bytes_of_id, codec.constants, None, codec.counts, codec.vocabulary
    if not primer:
        model = make_model(*parts, primer)
        tokens, type_id = codec.tokens(OF_ITS_KIND), codec.type_id("structured")
        assert model.encode(tokens, type_id) == codec.model.encode(tokens, type_id)
        return
    with pytest.raises((ValueError, TypeError)):
        make_model(*parts, primer)


def test_a_primer_has_a_limit(files):
    codec = codec_of(files, "counts", primer=[])
    parts = codec.tokenizer.bytes_of_id, codec.constants, None, codec.counts, codec.vocabulary
    type_id = codec.type_id("text")
    most = memoryview(bytes(4 * (16_384 - 2))).cast("i")
    make_model(*parts, [(most, type_id)])
    with pytest.raises(ValueError, match="16383"):
        make_model(*parts, [(most, type_id), (codec.tokens(b"a"), type_id)])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"records":[]}',
        b'{"records":[{"type":"text"}]}',
        b'{"records":[{"type":"poem","tokens":[1]}]}',
        b'{"records":[{"type":"text","tokens":[]}]}',
        b'{"records":[{"type":"text","tokens":[1.5]}]}',
        b'{"records":[{"type":"text","tokens":"a"}]}',
        b'{"records":[{"type":"text","tokens":[4294967296]}]}',
        b'{"records":' + b"[" * 100_000,
    ],
)
def test_files_that_are_no_primer(content):
    with pytest.raises(ValueError, match="no primer"):
        load_primer(content)


@pytest.mark.parametrize("token", [-1, 1 << 20])
def test_tokens_that_are_none(files, token):
    content = save_primer([PrimerRecord("text", memoryview(array("i", [token])))])
    with pytest.raises(ValueError, match="is no token"):
        NeuralCodec.from_files(*counts_versions.parts(files, network=False), content)


def test_a_file_comes_back():
    primer = [PrimerRecord(kind, memoryview(array("i", tokens))) for kind, tokens in (("text", [3, 1]), ("other", [4]))]
    assert load_primer(save_primer(primer)) == primer


# --- versions -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def version(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    return counts_versions.write_counts_version(folder, files, network=True, primer=PRIMER)


@pytest.mark.parametrize("effort", ["fast", "auto", "max"])
def test_a_version_with_a_primer(version, files, tmp_path, effort):
    codec, row = nbmf.load(version), json.loads(OF_ITS_KIND)
    blob = codec.encode(row, effort=effort)
    assert codec.decode(blob) == row
    alone = nbmf.load(counts_versions.write_counts_version(tmp_path, files, network=True))
    assert len(blob) < len(alone.encode(row, effort=effort))


def test_it_says_that_older_readers_must_refuse_it(version):
    told = json.loads((version / manifest.MANIFEST).read_text())
    for changed in ({"minimum_reader": 2}, {"counts": told["counts"] | {"primer": ""}}):
        with pytest.raises(ValueError, match=r"minimum_reader|primer"):
            manifest.Manifest.of(told | changed)


def test_an_older_reader_refuses_it(version, monkeypatch):
    monkeypatch.setattr(manifest, "READER", 2)
    with pytest.raises(UnsupportedFormat, match="up to 3"):
        nbmf.load(version)


def test_a_version_whose_primer_is_none(files, tmp_path, monkeypatch):
    monkeypatch.setattr(counts_versions, "primer_file", lambda *_: b"{}")
    codec = nbmf.load(counts_versions.write_counts_version(tmp_path, files, network=False, primer=PRIMER))
    with pytest.raises(DamagedCodec, match="no primer"):
        codec.encode("The lease is signed, and both keys are there. " * 5, effort="fast")


def test_a_primer_is_a_file_of_the_version(version, tmp_path):
    _, told, files = manifest.read_version(version)
    assert told.neural.primer == told.counts.primer == PRIMER_FILE
    assert PRIMER_FILE in told.neural.named_files() & told.counts.named_files() & files.keys()
