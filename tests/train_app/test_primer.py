"""Records that a version codes all others behind: how they are chosen, and a version that has nothing else of them."""

import json
from array import array

import counts_versions
import networks
import pytest

from nbmf import Codec, manifest
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.primer import PrimerRecord, load_primer
from nbmf.payload import Kind
from train_app import primer
from train_app.learned_part import LearningPlan, train_part
from train_app.network.failure import TrainingFailed
from train_app.network.settings import PRIMED
from train_app.primer import PRIMER_FILE, choose_primer
from train_app.samples.sample import Sample, digest_of

SHOPS = ("Alder & Sons", "Bellwether", "Corner Books", "Dovetail", "Emporium")


def sample(payload, kind=Kind.JSON):
    canonical = json.dumps(payload, separators=(",", ":")).encode()
    return Sample(kind, canonical, digest_of(kind, canonical))


def rows(count):
    return [
        sample({"invoice_id": 4711 + 13 * n, "shop": SHOPS[n % 5], "status": "paid", "total_cents": 990 + 37 * n})
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def files():
    return counts_versions.two_step_files()


@pytest.fixture(scope="module")
def counts(files):
    return NeuralCodec.from_files(*counts_versions.parts(files, network=False))


@pytest.fixture(scope="module")
def both(files):
    return NeuralCodec.from_files(*counts_versions.parts(files, network=True))


@pytest.fixture(scope="module")
def version(files, tmp_path_factory):
    return counts_versions.write_counts_version(tmp_path_factory.mktemp("versions"), files, network=True)


def test_records_are_chosen_that_make_others_smaller(counts, both):
    learnt, held_out = rows(40)[::2], rows(40)[1::2]
    told = []
    chosen = choose_primer(both, counts, learnt, held_out, 1000, told.append)
    assert {counts.tokenizer.decode(one.tokens_T) for one in chosen} <= {sample.canonical for sample in learnt}
    assert {record.record_type for record in chosen} == {"structured"}
    assert len(chosen) >= 2
    assert sum(counts.n_bytes(record.tokens_T) for record in chosen) <= 1000
    assert told == sorted(told)
    assert told[-1] == 1
    assert choose_primer(both, counts, learnt, held_out, 1000) == chosen


def test_by_the_network_where_there_are_no_counts(files):
    named = (networks.FILES[part] for part in ("tokenizer", "constants", "model"))
    network = NeuralCodec.from_files(*(files[name] for name in named))
    assert choose_primer(network, None, rows(20)[::2], rows(20)[1::2], 500)


def test_none_where_none_helps(counts, both):
    """Of what is written in other letters."""
    latin = [Sample(Kind.TEXT, digest_of(Kind.TEXT, bytes([n])).hex().encode(), bytes([n])) for n in range(15)]
    kana = [
        Sample(Kind.TEXT, "".join(chr(0x3041 + (n * i) % 80) for i in range(40)).encode(), b"") for n in range(3, 9)
    ]
    assert choose_primer(both, counts, latin, kana, 1000) == []


def test_the_network_has_the_last_word(counts, both, monkeypatch):
    monkeypatch.setattr(primer, "_MEASURED_BYTES_BY_NETWORK", 0)
    measured = []
    monkeypatch.setattr(primer._Measure, "bytes_behind", lambda self, behind: measured.append(self) or -len(behind))
    assert choose_primer(both, counts, rows(9), rows(3), 1000)
    monkeypatch.setattr(
        primer._Measure,
        "bytes_behind",
        lambda self, behind: len(behind) * (1 if self._network else -1) + 1000,
    )
    assert choose_primer(both, counts, rows(9), rows(3), 1000) == []


@pytest.mark.parametrize("learnt", [[], [sample("a" * 2000)], [Sample(Kind.BYTES, b"\x00" * 50, b"d")]])
def test_nothing_to_choose_from(counts, both, learnt):
    assert choose_primer(both, counts, learnt, rows(5), 1000) == []


def test_a_record_of_all_the_room(counts, both):
    """Smaller ones come first, where there are any."""
    large = sample([sample.canonical.decode() for sample in rows(8)])
    assert len(choose_primer(None, counts, [large], rows(20), len(large.canonical))) == 1


def test_the_preset_primed(version, settings, tmp_path):
    """Files of the version that it begins with, as they are, and the primer."""
    plan = LearningPlan(PRIMED, settings, tmp_path, init_from=version)
    lines = []
    fields, files, measured = train_part(rows(60), [], plan, lines.append, lambda: None)
    assert fields["minimum_reader"] == 3
    _, before, of_version = manifest.read_version(version)
    assert files[fields["neural"]["model"]] == of_version[before.neural.model]
    assert files[fields["neural"]["constants"]] == of_version[before.neural.constants]
    assert files[fields["counts"]["counts"]] == of_version[before.counts.counts]
    chosen = load_primer(files[PRIMER_FILE])
    assert measured["primer"] == {"records": len(chosen), "tokens": sum(len(record.tokens_T) for record in chosen)}
    assert {line["priming"] for line in lines} > {1}
    codec = Codec("ab" * 32, manifest.Manifest.of({"name": "", "created_at": "", "files": {}, **fields}), files)
    alone = Codec.load(version)
    other = {"invoice_id": 1, "shop": "Dovetail", "status": "paid", "total_cents": 12}
    blob = codec.encode(other, effort="max")
    assert codec.decode(blob) == other
    assert 2 * len(blob) < len(alone.encode(other, effort="max"))


def test_a_primer_beside_what_else_is_learnt(version, settings, tmp_path, monkeypatch):
    asked = settings.model_copy(update={"primer_bytes": 600, "max_counts_bytes": 20_000})
    plan = LearningPlan("counts", asked, tmp_path)
    chosen = [PrimerRecord("structured", memoryview(array("i", [65, 66])))]
    monkeypatch.setattr("train_app.learned_part.choose_primer", lambda *given: chosen if given[4] == 600 else [])
    fields, files, measured = train_part(rows(60), [], plan, print, lambda: None)
    assert load_primer(files[fields["counts"]["primer"]]) == chosen
    assert (fields["minimum_reader"], measured["primer"]) == (3, {"records": 1, "tokens": 2})
    chosen.clear()
    fields, files, measured = train_part(rows(60), [], plan, print, lambda: None)
    assert (fields["minimum_reader"], fields["counts"]["primer"], PRIMER_FILE in files) == (2, None, False)
    assert measured["primer"] == {"records": 0, "tokens": 0}


def test_there_must_be_a_version(settings, tmp_path):
    """The tests' installation has no built-in one."""
    with pytest.raises(TrainingFailed, match="no built-in version"):
        train_part(rows(60), [], LearningPlan(PRIMED, settings, tmp_path), print, lambda: None)


def test_nothing_is_chosen_unmeasured(counts):
    assert choose_primer(None, counts, rows(20), [], 1000) == []


def test_records_with_what_is_somebodys_are_left_out(counts):
    """They would be in the version as they are."""
    theirs = [sample({"invoice_id": n, "mail": f"j.doe{n}@example-shop.com", "status": "paid"}) for n in range(20)]
    others = [sample({"invoice_id": n, "status": "paid"}) for n in range(20)]
    assert choose_primer(None, counts, theirs, theirs[:5], 1000) == []
    chosen = choose_primer(None, counts, theirs + others, theirs[:5], 1000)
    assert chosen
    assert not any(b"@" in counts.tokenizer.decode(record.tokens_T) for record in chosen)
