"""What is said of a version and records, from sizes."""

import pytest

from cluster.fit import FITS_UP_TO, LARGER_UP_TO, MIN_RECORDS, Verdict
from nbmf.manifest import Manifest
from train_app.fit.verdicts import fits_by_class, fits_by_kind, own_ratio


def sizes(coded_bytes, raw_bytes=10_000, records=MIN_RECORDS):
    row = {"records": records, "raw_bytes": raw_bytes, "coded_bytes": coded_bytes}
    return row | {"total_ratio": raw_bytes / coded_bytes}


def row(ours, built_in=None, **of):
    found = {"nbmf": sizes(ours, **of), "zstd-19": sizes(5000, **of)}
    return found | ({"built-in": sizes(built_in, **of)} if built_in else {})


def manifest(data=None, **measured):
    fields = {"name": "a", "created_at": "", "architecture": "", "files": {}}
    return Manifest.of({**fields, "data": data or {}, "measured": measured})


HELD_OUT = {
    "all": {"nbmf": sizes(2000)},
    "kinds": {"text": {"nbmf": sizes(1600)}, "json": {"nbmf": sizes(800)}},
    "classes": {"notes": {"nbmf": sizes(1000)}},
}


def of_class(name, measured, kinds, version):
    (fit,) = fits_by_class({"classes": {name: measured}}, {name: kinds}, version)
    return fit


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        (0.5, Verdict.FITS),
        (FITS_UP_TO - 0.01, Verdict.FITS),
        (FITS_UP_TO + 0.01, Verdict.LARGER),
        (LARGER_UP_TO - 0.01, Verdict.LARGER),
        (LARGER_UP_TO + 0.01, Verdict.DOES_NOT_FIT),
    ],
)
def test_a_class_beside_itself(times, verdict):
    version = manifest({"classes": {"notes": 80}}, **HELD_OUT)
    fit = of_class("notes", row(round(1000 * times)), {"text": 10_000}, version)
    assert (fit.expected_bits_per_byte, fit.bits_per_byte) == (0.8, pytest.approx(0.8 * times))
    assert fit.verdict is verdict
    assert bool(fit.advice) == (verdict is not Verdict.FITS)
    if fit.advice:
        assert fit.advice.startswith("They are not what the version learnt from: train one on newer records")


def test_a_class_of_which_nothing_was_measured():
    """Beside records of its kinds, in its proportions; and it is told whether any was learnt from."""
    version = manifest({"classes": {"notes": 80, "few": 1}}, **HELD_OUT)
    for name, expected in (("few", "They are not what"), ("new", "The version learnt nothing of this class: ")):
        fit = of_class(name, row(4000), {"text": 5000, "json": 5000}, version)
        assert fit.expected_bits_per_byte == pytest.approx((1.28 + 0.64) / 2)
        assert fit.verdict is Verdict.DOES_NOT_FIT
        assert fit.advice.startswith(expected)
    fit = of_class("new", row(4000), {"messages": 10_000}, version)
    assert fit.expected_bits_per_byte == pytest.approx(1.6)  # of all


def test_versions_without_classes_or_measurements():
    old = manifest({}, all=HELD_OUT["all"], kinds=HELD_OUT["kinds"])
    assert of_class("x", row(1700), {"text": 10_000}, old).verdict is Verdict.FITS
    fit = of_class("x", row(1700), {"text": 10_000}, manifest())
    assert (fit.verdict, fit.expected_bits_per_byte) == (Verdict.UNKNOWN, None)
    assert fit.advice == "The version has no measurements of its own to compare with."


@pytest.mark.parametrize(
    "measured",
    [
        {"all": 5, "kinds": [], "classes": "notes"},
        {"all": {"nbmf": {"records": 1, "raw_bytes": "x", "coded_bytes": 2}}},
        {"all": {"nbmf": {"records": 1, "raw_bytes": 0, "coded_bytes": 2}}, "classes": {"notes": {"nbmf": []}}},
    ],
)
def test_manifests_of_somebody_else(measured):
    odd = manifest({"classes": 3, "kinds": 4}, **measured)
    assert of_class("notes", row(1700), {"text": 10_000}, odd).verdict is Verdict.UNKNOWN
    assert fits_by_kind({"kinds": {"text": row(1600)}}, odd)[0].verdict is Verdict.UNKNOWN
    assert own_ratio(odd) is None
    assert own_ratio(manifest(**HELD_OUT)) == 5


def test_of_a_few_records_nothing_is_said():
    version = manifest({"classes": {}}, **HELD_OUT)
    fit = of_class("notes", row(9000, 100, records=MIN_RECORDS - 1), {"text": 10_000}, version)
    assert (fit.verdict, fit.advice) == (Verdict.TOO_FEW, "")


def test_kinds():
    version = manifest({"kinds": {"text": 9, "json": 9}}, **HELD_OUT)
    text, messages = fits_by_kind({"kinds": {"text": row(1600), "messages": row(9000)}}, version)
    assert (text.verdict, text.advice) == (Verdict.FITS, "")
    assert messages.verdict is Verdict.DOES_NOT_FIT
    assert messages.advice.startswith("The version learnt nothing of this kind: ")


def test_binary_data_is_left_out():
    """Where the manifest tells what its own was; that of older ones has all."""
    with_images = sizes(9000) | {"text_bytes": 1000, "text_coded_bytes": 200}
    found = row(9500) | {"nbmf": sizes(9500) | {"text_bytes": 500, "text_coded_bytes": 110}}
    version = manifest({"kinds": {"json": 9}}, all={"nbmf": with_images}, kinds={"json": {"nbmf": with_images}})
    (json,) = fits_by_kind({"kinds": {"json": found}}, version)
    assert (json.bits_per_byte, json.expected_bits_per_byte, json.verdict) == (1.76, 1.6, Verdict.FITS)
    assert json.ratio == pytest.approx(10_000 / 9500)
    (json,) = fits_by_kind({"kinds": {"json": found}}, manifest(**HELD_OUT))
    assert (json.expected_bits_per_byte, json.verdict) == (0.64, Verdict.DOES_NOT_FIT)
    assert own_ratio(version) == pytest.approx(10_000 / 9000)


def test_records_without_text():
    """Are not compared with text."""
    alone = row(9500) | {"nbmf": sizes(9500) | {"text_bytes": 0, "text_coded_bytes": 80}}
    text, octets = fits_by_kind({"kinds": {"text": alone, "bytes": row(9500)}}, manifest(**HELD_OUT))
    assert (text.verdict, text.bits_per_byte) == (Verdict.TOO_FEW, 0)
    assert (octets.verdict, octets.expected_bits_per_byte) == (Verdict.UNKNOWN, None)


def test_what_else_is_told():
    version = manifest({"classes": {"notes": 80}}, **HELD_OUT)
    fit = of_class("notes", row(1000, 700), {"text": 10_000}, version)
    assert fit.verdict is Verdict.FITS
    assert fit.advice == "The built-in version takes 30% less: encode these with it, or train."
    assert fit.ratio_built_in == pytest.approx(10_000 / 700)
    fit = of_class("notes", row(400, raw_bytes=1000), {"text": 1000}, version)
    assert fit.advice.endswith("They are short, 50 bytes in the mean where those were 500: of such less is saved.")


def test_those_with_most_bytes_come_first():
    measured = {"classes": {"a": row(10, raw_bytes=100), "b": row(10, raw_bytes=900), "c": row(10, raw_bytes=900)}}
    kinds = {name: {"text": 1} for name in "abc"}
    assert [fit.name for fit in fits_by_class(measured, kinds, manifest(**HELD_OUT))] == ["b", "c", "a"]
