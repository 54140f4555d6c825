"""Folders as sources of runs: all of it is migrated or named, on screen and in the reports; and runs go on."""

import json
import random

import pytest
import synthetic
from here import migrate_here
from packed import FORMATS

from cluster.errors import DestinationError
from cluster.sources import jsonl, open_source
from migrate_job.destinations import InPlace, ParquetParts
from migrate_job.destinations.in_place_files import StoreFolders
from migrate_job.destinations.in_place_source import InPlaceRecords
from migrate_job.report.report import Report
from migrate_job.report.report_html import to_html
from nbmf import store


@pytest.fixture
def transcripts(tmp_path):
    """Sessions in dated folders, some compressed, and their payloads by key."""
    root, payloads = tmp_path / "agent", {}
    for number in range(6):
        folder = f"sessions/2026/01/{number + 1:02}"
        (root / folder).mkdir(parents=True)
        records = synthetic.records(23, seed=number)
        content = "".join(json.dumps(record) + "\n" for record in records).encode()
        suffix = ["", *FORMATS][number % 5]
        (root / folder / f"rollout.jsonl{suffix}").write_bytes(FORMATS[suffix](content) if suffix else content)
        payloads |= {f"{folder}/rollout.jsonl{suffix}:{n}": record for n, record in enumerate(records, start=1)}
    (root / "notes.md").write_text("x")
    return root, payloads


def read(folder):
    return {record.key: record.payload() for record in store.iterate(folder)}


def test_a_run_that_was_killed_goes_on(transcripts, tmp_path, monkeypatch):
    """Parts of a compressed file are the same however far a run before it came."""
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 10)
    root, payloads = transcripts
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    assert len(migrate_here(open_source(root), unbroken, ParquetParts())) > 12
    migrate_here(open_source(root), broken, ParquetParts())
    done = sorted((broken / "_done").iterdir())
    for path in random.Random(1).sample(done, 7):
        path.unlink()
        (broken / f"part-{path.stem}.parquet").unlink()
    assert len(migrate_here(open_source(root), broken, ParquetParts())) == 7
    assert read(broken) == read(unbroken) == payloads
    for path in unbroken.glob("part-*"):
        assert (broken / path.name).read_bytes() == path.read_bytes()
    (root / "sessions" / "new.jsonl").write_text("1\n")
    with pytest.raises(DestinationError, match="another source or listing"):
        migrate_here(open_source(root), broken, ParquetParts())


def test_reports_name_what_was_not_read(transcripts, tmp_path):
    root, _ = transcripts
    (root / "<b>.csv").write_text("x")
    for number in range(120):
        (root / f"{number:03}.log").write_text("x")
    migrate_here(open_source(root), tmp_path / "new", ParquetParts())
    found = json.loads((tmp_path / "new" / "report.json").read_text())["not_read"]
    assert (found["files"], found["reasons"]) == (122, {"unknown_kind": 122})
    names = sorted(["<b>.csv", "notes.md", *(f"{number:03}.log" for number in range(120))])
    assert [one["place"] for one in found["listed"]] == [f"{root}/{name}" for name in names]
    assert {one["reason"] for one in found["listed"]} == {"unknown_kind"}
    page = (tmp_path / "new" / "report.html").read_text()
    assert f"{root}/048.log" in page
    assert "And 72 more, in report.json." in page
    assert "<b>" not in page


def test_a_report_of_all_that_there_was():
    assert Report("v").to_dict()["not_read"] == {"files": 0, "reasons": {}, "listed": []}
    assert "all files of the source are in this report" in to_html(Report("v"))


def test_what_a_store_has_besides_record_files_stays_in_place_and_is_named(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a__note.json").write_text('{"payload": "x", "cls": "note"}')
    (tmp_path / "records" / "old.bak").write_text("x")
    (tmp_path / "a_1.json").write_text("{}")
    source = InPlaceRecords(tmp_path, None)
    for _ in range(2):
        migrate_here(source, StoreFolders(tmp_path).run, InPlace(tmp_path))
        report = json.loads((StoreFolders(tmp_path).run / "report.json").read_text())
        assert [(one["place"], one["reason"]) for one in report["not_read"]["listed"]] == [
            (f"{tmp_path}/a_1.json", "other_kind"),
            (f"{tmp_path}/records/old.bak", "unknown_kind"),
        ]


def test_the_command_says_what_it_does_not_read(nbmf_command, transcripts, tmp_path):
    root, payloads = transcripts
    result = nbmf_command("migrate", root, tmp_path / "new", "--codec", "none")
    assert result.code == 0, result.err
    assert read(tmp_path / "new") == payloads
    assert "Not read: 1 part of the source (1 unknown_kind)\n" in result.err
    assert f"  {root}/notes.md: a file of no kind that is known by its name\n" in result.err
    assert "files or folders not read: unknown_kind" in result.out.decode()
    (root / "gone.jsonl").symlink_to("nowhere")
    (root / ".cache").mkdir()
    options = ("--codec", "none", "--dry-run", "--json", tmp_path / "estimates.json")
    result = nbmf_command("migrate", root, tmp_path / "other", *options)
    assert result.code == 0, result.err
    assert "files or folders not read: link_to_nothing" in result.out.decode()
    estimates = json.loads((tmp_path / "estimates.json").read_text())
    assert estimates["not_read"]["reasons"] == {"hidden": 1, "link_to_nothing": 1, "unknown_kind": 1}
    assert estimates["records"]["value"] == len(payloads)
    result = nbmf_command("migrate", root, tmp_path / "other", "--codec", "none")
    assert result.code == 3
    assert "1 files or folders of the source could not be read" in result.out.decode()
    assert read(tmp_path / "other") == payloads
