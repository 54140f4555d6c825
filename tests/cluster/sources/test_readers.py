"""Sources that users write, and kinds named by hand."""

import sys

import pytest
import synthetic
from items import good, read

from cluster.errors import RecordsError
from cluster.sources import JsonLines, open_source


def test_a_source_of_ones_own(tmp_path):
    (tmp_path / "b.txt").write_text("three")
    (tmp_path / "a.txt").write_text("one\n\ntwo")
    source = open_source(tmp_path, reader="paragraphs:Paragraphs", class_field="words")
    found = good(read(source))
    assert [(r.key, r.payload, r.record_class) for r in found] == [
        ("a.txt:1", "one", "words"),
        ("a.txt:2", "two", "words"),
        ("b.txt:1", "three", "words"),
    ]


def test_its_location_is_its_own_affair():
    source = open_source("imap://me@host/inbox", reader="paragraphs:Paragraphs")
    assert source.location == "imap://me@host/inbox"


def test_it_may_be_in_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("from paragraphs import Paragraphs as Mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    source = open_source(tmp_path, reader="only_here:Mine")
    assert source.plan() == []
    sys.modules.pop("only_here")


@pytest.mark.parametrize(
    ("reader", "problem"),
    [
        ("csv", "none of this package, nor of the form package.module:Class"),
        ("no_such_module:Class", "no_such_module"),
        ("paragraphs:NoSuch", "NoSuch"),
        ("paragraphs:", "package.module:Class"),
        (":Paragraphs", "package.module:Class"),
        ("paragraphs:NUMBER", "is int, not a class"),
        ("paragraphs:nothing", "makes a NoneType, which lacks `plan` or `read`"),
        ("paragraphs:WithoutRepr", "WithoutRepr needs a __repr__"),
    ],
)
def test_what_is_no_source(tmp_path, reader, problem):
    with pytest.raises(RecordsError, match=problem):
        open_source(tmp_path, reader=reader)


def test_kinds_by_name(tmp_path):
    path = synthetic.write_jsonl(tmp_path / "memory.txt", [1])
    assert type(open_source(path, reader="jsonl")) is JsonLines
    assert [r.payload for r in good(read(open_source(path, reader="jsonl")))] == [1]
    with pytest.raises(RecordsError, match=r"memory\.txt"):
        open_source(path, reader="parquet").plan()
    with pytest.raises(RecordsError, match="not a database"):
        open_source(path, reader="sqlite").plan()
    with pytest.raises(RecordsError, match=r"memory\.txt"):
        open_source(path, reader="legacy").plan()


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "dataset"])
def test_a_folder_without_files_of_a_kind(tmp_path, kind):
    with pytest.raises(RecordsError, match="holds no"):
        open_source(tmp_path, reader=kind)
