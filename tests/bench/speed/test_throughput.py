"""`nbmf bench throughput`: batches, processes, the ratio beside them, and the plot of both."""

import json
import struct
from concurrent.futures import Future
from threading import Barrier, BrokenBarrierError

import pytest
import synthetic

from bench.machine import sentence
from bench.records import BenchRecord, NotEqual, NothingToMeasure
from bench.speed import plot as speed_plot
from bench.speed import scaling, throughput
from bench.speed.timed import Measured
from nbmf import Codec, engine
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind, to_canonical

FIELDS = ("--payload-field", "payload", "--set-field", "set")
NUMBER_OF_RECORDS = 24


@pytest.fixture(scope="module")
def payloads():
    return synthetic.records(NUMBER_OF_RECORDS, seed=9)


@pytest.fixture(scope="module")
def data(tmp_path_factory, payloads):
    lines = [{"set": "s", "payload": payload} for payload in payloads]
    return synthetic.write_jsonl(tmp_path_factory.mktemp("data") / "data.jsonl", lines)


def records_of(payloads):
    return [BenchRecord("s", *to_canonical(payload)) for payload in payloads]


def row(codec, speed, ratio, batch_size=None, idealised=False):
    return {
        "codec": codec,
        "batch_size": batch_size,
        "idealised": idealised,
        "total_ratio": ratio,
        "encode_kB_s": speed,
        "decode_kB_s": 2 * speed,
    }


ROWS = [
    row("nbmf max", 40, 8.0, 1),
    row("nbmf max", 90, 8.0, 16),
    row("nbmf max", 80, 8.0, 64),
    row("nbmf fast", 400, 6.5, 1),
    row("zstd-19", 6000, 2.4),
    row("brotli-11", 700, 2.3),
    row("PPMd-6 warm", 9000, 4.3, idealised=True),
]


def test_the_command(nbmf_command, data, payloads, training_file, small_version, tmp_path):
    sizes = ("--batch-size", 8, "--batch-size", 1, "--batch-size", 8, "--processes", 2)
    files = ("--json", tmp_path / "report.json", "--plot", tmp_path / "plot.png")
    sources = ("--data", data, "--train", training_file, "--kb", 1000)
    result = nbmf_command("bench", "throughput", *sources, *FIELDS, *small_version.options, *sizes, *files)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    raw = sum(len(to_canonical(payload)[1]) for payload in payloads)
    assert (report["records"], report["payload_bytes"], report["repeats"]) == (NUMBER_OF_RECORDS, raw, 3)
    measured = [(found["codec"], found["batch_size"]) for found in report["one_core"]]
    ours = [("nbmf max", 1), ("nbmf max", 8), ("nbmf fast", 1), ("nbmf fast", 8)]
    peers = ["zstd-19", "brotli-11", "zstd-19+dict", "PPMd-6 primed", "PPMd-6 warm"]
    assert measured == [*ours, *((peer, None) for peer in peers)]
    codec = Codec.load(small_version.registry / "versions" / small_version.id)
    for found in report["one_core"]:
        assert found["encode_kB_s"] > 0
        assert found["decode_kB_s"] > 0
        assert found["idealised"] == (found["codec"] == "PPMd-6 warm")
        if found["batch_size"]:
            effort = found["codec"].split()[1]
            coded = sum(len(codec.encode(payload, effort=effort)) for payload in payloads)
            assert found["total_ratio"] == round(raw / coded, 4)
    rows = report["processes"]
    assert [(found["codec"], found["processes"]) for found in rows] == [("nbmf max", 2), ("nbmf fast", 2)]
    for found in rows:
        assert found["batch_size"] in (1, 8)
        assert len(found["decode_kB_s_per_process"]) == 2
        assert 0 < found["decode_kB_s"] <= 2 * max(found["decode_kB_s_per_process"]) * 1.01
    assert sentence(report["machine"]).encode() in result.out.replace(b"\n", b" ")
    check_png(tmp_path / "plot.png")


def check_png(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert (width, height) >= (1200, 600)


def test_primed_ppmd_is_timed_on_some_records(monkeypatch, payloads):
    monkeypatch.setattr(throughput, "PPMD_RECORDS", 2)
    monkeypatch.setattr(throughput, "REPEATS", 1)
    chosen = records_of(payloads)
    training = [record.canonical for record in records_of(synthetic.records(400, seed=3))]
    starts, done = [], []
    report = throughput.run(chosen, training, Codec(), ("fast",), (4,), starts.append, lambda: done.append(1))
    assert starts == [len(done)]
    timed = {found["codec"]: found["timed_records"] for found in report["one_core"]}
    assert (timed["PPMd-6 primed"], timed["PPMd-6 warm"]) == (2, 2)
    assert timed["zstd-19"] == timed["zstd-19+dict"] == timed["nbmf fast"] == NUMBER_OF_RECORDS


def test_the_engine_is_as_it_was_before(payloads):
    engine.configure("auto", threads=2)
    try:
        with throughput.compiled_loops_on_one_core():
            assert engine.engine() == engine.Engine("cpu", 1)
        assert engine.engine() == engine.Engine("auto", 2)
    finally:
        engine.configure("auto", threads=1)


def test_about_so_many_bytes_through_the_file():
    records = [BenchRecord("s", Kind.TEXT, bytes([number]) * 100) for number in range(100)]
    chosen = throughput.pick([*records, BenchRecord("s", Kind.TEXT, b"")], 2000, 4)
    assert [record.canonical[0] for record in chosen] == [*range(0, 100, 5)]
    assert len(throughput.pick(records, 2000, 64)) == 64
    assert throughput.pick(records, 10**6, 64) == records
    with pytest.raises(NothingToMeasure, match="a batch of 101 records, and only 100"):
        throughput.pick(records, 2000, 101)


@pytest.mark.parametrize("planted", ["another value", "an error"])
def test_a_version_that_decodes_wrongly(error_of, data, small_version, monkeypatch, planted):
    decode = Codec.decode_batch

    def wrong(self, blobs, **options):
        values = decode(self, blobs, **options)
        values[-1] = {"other": 1} if planted == "another value" else CorruptBlob("planted")
        return values

    monkeypatch.setattr(Codec, "decode_batch", wrong)
    options = ("--batch-size", 4, "--effort", "fast")
    message = error_of("bench", "throughput", "--data", data, *FIELDS, *small_version.options, *options)
    assert message.startswith("nbmf: not_equal: nbmf fast: a record of set s with ")
    assert ("planted" if planted == "an error" else "another value") in message


def test_a_process_that_fails_is_told_of(payloads):
    """And not that the other waited for it in vain."""
    records = records_of(payloads)

    def failing(error):
        future = Future()
        future.set_exception(error)
        return future

    waiting = failing(BrokenBarrierError())
    with pytest.raises(NotEqual, match="planted"):
        scaling._results([waiting, failing(NotEqual("planted")), waiting])
    aborted = Barrier(2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaling, "_barrier", aborted)
        patch.setattr(scaling, "_codec", Codec())
        patch.setattr(Codec, "decode_batch", lambda _, blobs: ["?"] * len(blobs))
        with pytest.raises(NotEqual, match="nbmf fast: a record of set s"):
            scaling._measure(records, "fast", 4)
    assert aborted.broken


def test_processes_together_are_as_slow_as_the_slowest():
    records = [BenchRecord("s", Kind.TEXT, b"x" * 1000)]
    quick, slow = Measured("nbmf max", 100, 0.01, 0.02), Measured("nbmf max", 100, 0.04, 0.05)
    found = scaling._row("max", 16, records, [[quick] * 3, [slow] * 3])
    assert found == {
        "codec": "nbmf max",
        "batch_size": 16,
        "processes": 2,
        "encode_kB_s": 50.0,
        "encode_kB_s_per_process": [100.0, 25.0],
        "decode_kB_s": 40.0,
        "decode_kB_s_per_process": [50.0, 20.0],
    }


def test_the_best_batch():
    assert throughput.best_batch(ROWS, "nbmf max") == 16


def test_points_are_the_smallest_and_the_fastest_batch():
    found = [(point.label, point.speed) for point in speed_plot.points(ROWS, "decode")]
    assert found[:3] == [("nbmf max, batch 1", 80), ("nbmf max, batch 16", 180), ("nbmf fast, batch 1", 800)]
    assert len(found) == 6


def test_the_front_leaves_out_what_is_beaten_and_what_is_idealised():
    front = [point.label for point in speed_plot.pareto(speed_plot.points(ROWS, "encode"))]
    assert front == ["nbmf max, batch 16", "nbmf fast, batch 1", "zstd-19"]


def test_labels_cover_neither_one_another_nor_points(tmp_path, monkeypatch):
    boxes = []
    place = speed_plot._place_labels

    def planted(axes, found, renderer):
        place(axes, found, renderer)
        points = [axes.transData.transform((point.speed, point.ratio)) for point in found]
        boxes.append(([text.get_window_extent(renderer) for text in axes.texts], points))

    monkeypatch.setattr(speed_plot, "_place_labels", planted)
    report = {
        "codec": None,
        "records": 9,
        "payload_bytes": 9000,
        "repeats": 3,
        "machine": {"processor": "P", "cores": 1, "system": "S", "code": "c", "python": "3", "nbmf": "0"},
        "one_core": ROWS,
    }
    speed_plot.write(report, tmp_path / "plot.png")
    check_png(tmp_path / "plot.png")
    assert len(boxes) == 2
    for labels, points in boxes:
        assert len(labels) == 6
        for number, label in enumerate(labels):
            assert not any(label.overlaps(other) for other in labels[:number])
            assert not any(label.contains(*point) for point in points)


def test_a_plot_that_is_no_png(nbmf_command, data, tmp_path):
    result = nbmf_command("bench", "throughput", "--data", data, "--plot", tmp_path / "plot.jpg", "--codec", "none")
    assert result.code == 2
    assert "does not end in .png" in " ".join(result.err.replace("│", " ").split())


def test_a_folder_that_is_not_there(nbmf_command, data, tmp_path):
    """Known before minutes of measuring, not after."""
    path = tmp_path / "none" / "report.json"
    result = nbmf_command("bench", "throughput", "--data", data, "--json", path, "--codec", "none")
    assert result.code == 2
    assert "does not exist" in " ".join(result.err.replace("│", " ").split())


def test_no_matplotlib(error_of, data, tmp_path, monkeypatch):
    from bench import extra

    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "matplotlib" else name)
    message = error_of("bench", "throughput", "--data", data, "--plot", tmp_path / "plot.png", "--codec", "none")
    assert message.startswith("nbmf: missing_package: matplotlib not installed")


def test_more_records_a_batch_than_there_are(error_of, data):
    message = error_of("bench", "throughput", "--data", data, *FIELDS, "--codec", "none")
    assert message.startswith("nbmf: nothing_to_measure: a batch of 256 records, and only 24 to take it from")
    assert "--batch-size" in message


@pytest.mark.parametrize("option", ["--batch-size", "--processes", "--kb"])
def test_numbers_below_one(nbmf_command, data, option):
    result = nbmf_command("bench", "throughput", "--data", data, option, 0)
    assert result.code == 2
    assert option in result.err
