"""What a version spells: entry by entry, and the command that looks through it."""

import json
from array import array
from dataclasses import replace

import dictionary_versions
import numpy as np
import pytest
import spelling
from networks import FILES
from tokenizers import Tokenizer

from cluster import version_scan
from cluster.personal import FORBIDDEN, What, find
from cluster.registry import Registry
from cluster.version_scan import Scan, _spelled, found_entries
from nbmf import builtin
from nbmf.errors import DamagedCodec
from nbmf.manifest import read_version
from nbmf.neural.counts_file import read_counts
from nbmf.neural.primer import PrimerRecord, save_primer
from nbmf.neural.tokenizer import NeuralTokenizer

TEXTS = (*spelling.CLEAN, *(f"it is {text} here" for text in spelling.PLANTED.values()))


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """One version that spells what it should not, one that doesn't."""
    return Registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def folder(registry, tmp_path_factory):
    folder = spelling.write_version(tmp_path_factory.mktemp("versions"), TEXTS)
    _, manifest, files = read_version(folder)
    assert registry.publish(manifest.to_dict(), files) == folder.name
    return folder


@pytest.fixture(scope="module")
def clean(registry, tmp_path_factory):
    _, manifest, files = read_version(spelling.write_version(tmp_path_factory.mktemp("versions"), spelling.CLEAN))
    return registry.publish(manifest.to_dict(), files)


def test_a_primer_is_looked_through(folder):
    """Each of its records is an entry."""
    _, manifest, files = read_version(folder)
    entries = Scan(manifest, files).entries
    tokens = NeuralTokenizer.from_json(files[FILES["tokenizer"]].decode()).encode
    records = [PrimerRecord("text", tokens(b"Mail j.doe@example-shop.com today.")), PrimerRecord("other", tokens(b"a"))]
    counts = replace(manifest.counts, primer="primer.json")
    scan = Scan(replace(manifest, counts=counts, minimum_reader=3), files | {"primer.json": save_primer(records)})
    (part,) = (part for part in scan.parts(lambda _: None) if part.name == "primer.json")
    assert scan.entries == entries + 2
    assert part.entries == 2
    assert part.found[What.MAIL] == 1
    none = save_primer([PrimerRecord("text", memoryview(array("i", [-1])))])
    with pytest.raises(DamagedCodec, match="beyond the vocabulary"):
        Scan(replace(manifest, counts=counts, minimum_reader=3), files | {"primer.json": none})


@pytest.fixture(scope="module")
def counts(folder):
    return read_counts((folder / "counts.zst").read_bytes())


@pytest.fixture(scope="module")
def bytes_of_id(folder):
    text = (folder / FILES["tokenizer"]).read_text()
    assert Tokenizer.from_str(text).get_vocab_size() <= 600
    return NeuralTokenizer.from_json(text).bytes_of_id


@pytest.fixture(scope="module")
def entries(counts, bytes_of_id):
    """All of them, spelled one by one."""
    first = counts.first().tolist()
    spelled = [bytes_of_id[token] if token < counts.vocab_size else b"" for token in range(first[0])]
    for context, begin in enumerate(first[:-1]):
        for index in range(begin, first[context + 1]):
            spelled.append(spelled[context] + bytes_of_id[counts.token_N[index]])
    return spelled


@pytest.fixture(params=[7, 1000, 1 << 20])
def chunk(request, monkeypatch):
    monkeypatch.setattr(version_scan, "_CHUNK_ENTRIES", request.param)


def test_entries_are_spelled_in_their_order(counts, bytes_of_id, entries, chunk):
    spelled, characters = [], []
    for texts in _spelled(counts, bytes_of_id):
        spelled += texts._text_B.tobytes().split(b"\0")[:-1]
        characters += texts.characters().tolist()
    expected = [entry.split(b"\0") for entry in entries]  # the vocabulary has the byte itself
    assert spelled == [piece for pieces in expected for piece in pieces]
    assert characters == [sum(byte & 0xC0 != 0x80 for byte in entry) for entry in entries]


def test_all_that_is_found_in_an_entry_alone_is_found_in_all(counts, bytes_of_id, entries, chunk):
    expected = [{finding.what for finding in find(entry)} for entry in entries]
    for kinds in (tuple(What), FORBIDDEN, (What.MAIL,)):
        found = found_entries(counts, bytes_of_id, kinds)
        assert found.tolist() == [index for index, kind in enumerate(expected) if kind & set(kinds)]
    assert {kind for kinds in expected for kind in kinds} == {What(kind) for kind in spelling.PLANTED}


def test_the_report_counts_entries(folder, entries):
    _, manifest, files = read_version(folder)
    told = []
    scan = Scan(manifest, files)
    vocabulary, part = scan.parts(told.append)
    assert sum(told) == scan.entries == vocabulary.entries + part.entries
    assert part.entries == len(entries)
    lengths = np.array([len(entry) for entry in entries])
    assert part.longest == lengths.max()
    assert part.longer == {limit: (lengths > limit).sum() for limit in version_scan.LONG}
    assert part.found[What.MAIL] == sum(b"a@mail.net" in entry for entry in entries)
    assert b"anna@mail.net" in part.texts[What.MAIL]


def test_the_command_tells_what_is_found_and_masks_it(nbmf_command, registry, folder, tmp_path):
    file = tmp_path / "scan.json"
    result = nbmf_command("versions", "scan", folder.name[:8], "--registry", registry.location, "--json", file)
    assert result.code == 1
    text = result.out.decode()
    assert "Not to be shared: secret, mail, phone found." in text
    assert "counts.zst: mail: " in text
    assert "anna… (13)" in text
    report = json.loads(file.read_text())
    assert report["id"] == folder.name
    assert not report["shareable"]
    assert [part["name"] for part in report["parts"]] == [FILES["tokenizer"], "counts.zst"]
    assert set(report["parts"][1]["found"]) == set(spelling.PLANTED)
    for planted in spelling.PLANTED.values():
        assert planted not in text
        assert planted not in file.read_text()


def test_a_clean_version_passes(nbmf_command, registry, clean):
    result = nbmf_command("versions", "scan", clean, "--registry", registry.location)
    assert (result.code, result.err) == (0, "")
    assert result.out.decode().endswith("No secret, mail address, phone or card number found.\n")


def test_dictionaries_are_looked_through(nbmf_command, tmp_path):
    registry = Registry(tmp_path)
    version_id = dictionary_versions.publish(registry, "dictionary", 1)
    result = nbmf_command("versions", "scan", version_id[:8], "--registry", tmp_path, "--json", tmp_path / "scan.json")
    assert result.code in (0, 1)
    (part,) = json.loads((tmp_path / "scan.json").read_text())["parts"]
    assert (part["name"], part["entries"]) == ("d", 1)
    assert part["longest_characters"] > 3000


def test_versions_of_the_package_have_ids_too(nbmf_command, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(builtin, "FOLDER", folder.parent)
    result = nbmf_command("versions", "scan", folder.name[:6], "--registry", tmp_path)
    assert result.code == 1
    assert folder.name[:12] in result.out.decode()
    default = tmp_path / "DEFAULT"
    default.write_text(folder.name)
    monkeypatch.setattr(builtin, "_DEFAULT", default)
    assert nbmf_command("versions", "scan", "builtin", "--registry", tmp_path).out == result.out


def test_what_is_not_there_is_one_message(error_of, tmp_path):
    assert "no version begins with 'feed'" in error_of("versions", "scan", "feed", "--registry", tmp_path)
    assert "'none' has no files" in error_of("versions", "scan", "none", "--registry", tmp_path)
