"""What is not learnt from is counted, shown and written down."""

import json

from train_app.samples.rejections import Rejections


def test_nothing_to_tell(tmp_path):
    rejections = Rejections(tmp_path / "rejected.jsonl")
    assert list(rejections.lines(12)) == []
    assert not (tmp_path / "rejected.jsonl").exists()


def test_the_first_places_of_each_reason_are_shown_and_all_are_written(tmp_path):
    file = tmp_path / "runs" / "rejected.jsonl"
    rejections = Rejections(file)
    for number in range(5):
        rejections.add("not_json", f"a.jsonl:{number}", "no value")
    rejections.add("null", "b.jsonl:7", "")
    assert list(rejections.lines(1200)) == [
        f"Left out 6 of 1,200 records; each is a line of {file}:",
        "  5 not_json: a.jsonl:0 (no value), a.jsonl:1 (no value), a.jsonl:2 (no value), …",
        "  1 null: b.jsonl:7",
    ]
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert written[4] == {"place": "a.jsonl:4", "reason": "not_json", "detail": "no value"}
    assert written[5] == {"place": "b.jsonl:7", "reason": "null", "detail": ""}
    assert len(written) == 6


def test_a_second_reading_adds_to_the_file(tmp_path):
    for place in ("one", "two"):
        Rejections(tmp_path / "rejected.jsonl").add("empty", place, "")
    assert len((tmp_path / "rejected.jsonl").read_text().splitlines()) == 2
