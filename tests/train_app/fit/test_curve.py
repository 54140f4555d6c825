"""What more records would bring: the arithmetic, and the command."""

import json
import math

import pytest
import synthetic

from train_app.fit.curve import Curve, Point, learning_curve
from train_app.fit.tables import curve_lines
from train_app.samples.sample import Sample


def curve(*coded_bytes, built_in=10**6, preset="counts"):
    points = tuple(Point(records, size) for records, size in zip((250, 500, 1000), coded_bytes, strict=True))
    return Curve(preset, 100, 400_000, built_in, points)


def law(records):
    """Bytes by a power law with a floor: each doubling saves .8 of what that before it saved."""
    return 40_000 + 200_000 * records ** math.log2(0.8)


def test_a_power_law_is_in_the_range():
    found = curve(law(250), law(500), law(1000))
    for times in (2, 4, 11):
        most, least = found.expected(1000 * (times - 1))
        assert least < law(1000 * times) < most
        # The lower end without its room is the law itself.
        assert (law(1000) - most) / 0.65 == pytest.approx(law(1000) - law(1000 * times))
        assert (law(1000) - least) / 1.1 == pytest.approx((law(500) - law(1000)) * math.log2(times))


@pytest.mark.parametrize("sizes", [(900, 900, 900), (900, 950, 1000), (900, 800, 850)])
def test_where_the_last_doubling_saved_nothing(sizes):
    assert curve(*sizes).expected(10_000) == (sizes[-1], sizes[-1])


def test_savings_that_rose_are_not_taken_to_rise_on():
    most, least = curve(1000, 990, 900).expected(1000)
    assert (900 - most) / 0.65 == pytest.approx(90)
    assert (900 - least) / 1.1 == pytest.approx(90)


def test_what_is_told():
    measured, line = curve_lines(curve(140_000, 120_000, 100_000), 1000)
    assert measured == "Measured on 100 held-out records, 400,000 bytes."
    assert line == "1,000 more records like these: 13% to 22% fewer bytes, a ratio of 4.60 to 5.13, by preset counts."
    far, built_in = list(curve_lines(curve(120_000, 110_000, 100_000, built_in=50_000), 3001))[2:]
    assert far == "That is far from 1,000 records: up to 4 times as many such a range was tried."
    assert built_in.startswith("The built-in version makes fewer bytes of them already")
    beside = curve(120_000, 110_000, 100_000, built_in=50_000, preset="builtin")
    assert len(list(curve_lines(beside, 3000))) == 2


def test_the_command(nbmf_command, tmp_path):
    """More of the same: fewer bytes, each time; and the command says how many more there would be."""
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [*synthetic.records(500, seed=71), None])
    result = nbmf_command("data", "estimate", path, "--more", "1000", "--json", tmp_path / "report.json")
    assert result.code == 3, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    records = [point["records"] for point in report["points"]]
    assert 430 < records[2] < 470
    assert records[:2] == [records[2] // 4, records[2] // 2]
    sizes = [point["coded_bytes"] for point in report["points"]]
    assert sizes == sorted(sizes, reverse=True)
    assert 0 < report["saves_at_least"] <= report["saves_at_most"] < 1
    assert report["measured_records"] == 500 - records[2]
    out = result.out.decode()
    assert "1,000 more records like these: " in out
    assert "Left out 1 of 501 records:" in out


def test_too_few(error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(150, seed=72))
    message = error_of("data", "estimate", path)
    assert message.startswith("nbmf: too_few_records: 130 records with text to learn from; a curve needs 200")


def test_what_holds_no_text_is_not_counted(train_config):
    from cluster.errors import TooFewRecords
    from nbmf.payload import Kind

    samples = [Sample(Kind.BYTES, bytes([n, 255, 254, 253]), bytes([n])) for n in range(250)]
    with pytest.raises(TooFewRecords, match="a curve needs 200"):
        learning_curve(samples, samples, "counts", train_config, lambda: None)
