"""Softmax in two steps, through counts, adaptation and coding: what is promised of it, and exact round trips."""

import counts_versions
import networks
import numpy as np
import pytest
from tokenizers import Tokenizer

from nbmf import engine
from nbmf._core import SIZE_IN_STREAM, STEPS
from nbmf.neural.codec import NeuralCodec, Stream
from nbmf.neural.constants import default_constants, load_constants, save_constants
from nbmf.neural.core import make_adaptation
from nbmf.neural.counts_file import core_counts, load_counts, read_counts, save_counts
from nbmf.neural.torch_engine import TorchEngine
from nbmf.neural.weights import IntegerWeights
from train_app.adaptation.adaptation_facts import collect_facts
from train_app.adaptation.core_engine import CoreEngine
from train_app.adaptation.counts_facts import counts_facts, fit_network_share, joined_facts
from train_app.adaptation.fit_adaptation import Fit, fit_copy, fit_gates, fit_scalars


@pytest.fixture(scope="module")
def files():
    return counts_versions.two_step_files()


@pytest.fixture(scope="module")
def counts(files):
    return read_counts(files[counts_versions.COUNTS_FILE])


@pytest.fixture(scope="module")
def stream(files):
    return counts_versions.sample_stream(Tokenizer.from_str(files[networks.FILES["tokenizer"]].decode()))


def of_parts(files, which: str) -> NeuralCodec:
    if which == "network":
        return NeuralCodec.from_files(*(files[networks.FILES[part]] for part in ("tokenizer", "constants", "model")))
    return NeuralCodec.from_files(*counts_versions.parts(files, network=which == "both"))


@pytest.fixture(scope="module", params=["network", "counts", "both"])
def either(request, files):
    return of_parts(files, request.param)


def test_both_steps_are_used(either, records):
    tokens = np.concatenate([either.tokens(data) for data, _ in records])
    clusters = either.vocabulary.clusters(tokens)
    assert 0.1 < (clusters >= 0).mean() < 0.9
    assert len(set(clusters)) > 8


def test_records_come_back_alone_and_side_by_side(path, files, either, records):
    chosen = [*records[::9], (b"", "text"), (bytes(range(256)), "other"), (b"a" * 3000, "text")]
    codec = NeuralCodec(either.tokenizer, either.constants, either.network, either.counts)
    streams = codec.encode_batch(chosen)
    assert streams == [either.encode(*record) for record in chosen], path
    given = [(stream, len(data), kind) for stream, (data, kind) in zip(streams, chosen, strict=True)]
    assert codec.decode_batch(given) == [data for data, _ in chosen]
    assert [codec.decode(*one) for one in given[::4]] == [data for data, _ in chosen[::4]]


@pytest.mark.parametrize("most_bytes", [600, pytest.param(10**6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("which", ["network", "both"])
def test_torch_writes_and_reads_the_same_streams(files, records, which, most_bytes, monkeypatch):
    codec = of_parts(files, which)
    chosen = [(data[:most_bytes], kind) for data, kind in records[::7]]
    expected = [codec.encode(*record) for record in chosen]
    monkeypatch.setattr(engine, "_engine", engine.Engine("torch"))
    assert codec.encode_batch(chosen) == expected
    given = [(stream, len(data), kind) for stream, (data, kind) in zip(expected, chosen, strict=True)]
    assert codec.decode_batch(given) == [data for data, _ in chosen]


def test_training_is_told_the_same_by_the_core(files, records):
    network = IntegerWeights.load(files[networks.FILES["model"]])
    codec = of_parts(files, "network")
    tokens = [np.asarray(codec.tokens(data)) for data, _ in records[:20] if data]
    inputs = [np.concatenate(([codec.type_id("text")], record[:-1])) for record in tokens]
    ours, theirs = (engine(*network).distances(inputs, tokens) for engine in (CoreEngine, TorchEngine))
    for one, other in zip(ours, theirs, strict=True):
        for mine, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, expected)


def test_a_decoder_wants_the_second_step_first(files):
    codec = of_parts(files, "network")
    data = b"something of several tokens, some of clusters"
    decoder = codec.model.decoder(codec.with_type_ids([Stream(codec.encode(data, "text"), len(data), "text")]))
    symbols, members = codec.vocabulary.empty_predictions(1)
    with pytest.raises(ValueError, match="belong"):
        decoder.step_members(members + 1)
    while not decoder.clusters():
        decoder.step(symbols + 1)
    with pytest.raises(ValueError, match="wait for a token of a cluster"):
        decoder.step(symbols + 1)
    decoder.step_members(members + 1)
    assert decoder.clusters() == []


def test_of_static_counts_both_steps_are_what_one_is(counts, stream):
    """A cluster's probability is the sum of its members', a token's in its cluster the rest."""
    one_step = counts._replace(n_clusters=0, cluster_size=0)
    facts = collect_facts(None, stream, counts.vocabulary, 40_000)
    two, one = (counts_facts(each, facts).facts.network_NS.prod(1) for each in (counts, one_step))
    assert (counts_facts(counts, facts).facts.network_NS[:, 1] < 1).sum() > 500
    np.testing.assert_allclose(two, one, rtol=0.01, atol=1e-6)


def test_bits_of_the_fit_are_those_of_the_streams(files, counts, stream):
    """Fitting and coding share what they compute, in both steps."""
    codec = of_parts(files, "both")
    network = collect_facts(codec.torch_engine, stream, codec.vocabulary, 20_000)
    facts = joined_facts(network, counts_facts(counts, network), codec.constants.numpy().network_share_SOCC)
    fit = Fit(facts)
    model = make_adaptation(codec.constants, codec.vocabulary)
    for record in range(0, len(facts.sets), 5):
        span = slice(facts.starts[record], facts.starts[record + 1])
        tokens = facts.tokens_N[span]
        gradients = [
            np.zeros((STEPS, *shape))
            for shape in (codec.constants.gate_SGE.shape[1:], codec.constants.copy_gate_SGE.shape[1:])
        ]
        bits = model.record_bits(
            tokens,
            facts.network_NS[span],
            facts.copied_NS[span],
            facts.confidence_NS[span],
            *gradients,
            fit.copy_counts,
        )
        stream_bits = 8 * len(codec.model.encode(tokens, int(facts.type_ids[record]), SIZE_IN_STREAM))
        assert bits - 8 < stream_bits < bits * 1.001 + 48  # the length too, and whether it is flat


def test_the_fit_lowers_bits_of_both_steps(files, counts, stream):
    engine = TorchEngine(*IntegerWeights.load(files[networks.FILES["model"]]))
    network = collect_facts(engine, stream, counts.vocabulary, 15_000)
    counted = counts_facts(counts, network)
    shares = fit_network_share(network, counted)
    assert shares.shape == default_constants().network_share_SOCC.shape
    fit = Fit(joined_facts(network, counted, shares))
    start = default_constants()
    gated = fit_gates(fit, fit_copy(fit, start), steps=6)
    fitted = fit_scalars(fit, gated)
    assert fit.objective(fitted) < fit.objective(gated) < fit.objective(start)
    for name in ("gate_SGE", "copy_gate_SGE", "copy_SLB", "share_S"):
        for step in range(STEPS):
            assert not np.allclose(getattr(fitted, name)[step], getattr(start, name)[step]), (name, step)


def test_clusters_are_in_the_file_of_counts(counts):
    data = save_counts(counts)
    assert read_counts(data).vocabulary == counts.vocabulary
    assert load_counts(data).n_clusters == counts.n_clusters == networks.TWO_STEPS["n_clusters"]


@pytest.mark.parametrize(("n_clusters", "size"), [(12, 33), (1, 8), (1000, 16), (-1, 16), (2, -16)])
def test_clusters_that_cannot_be_are_refused(counts, n_clusters, size):
    with pytest.raises(ValueError, match="clusters of"):
        core_counts(counts._replace(n_clusters=n_clusters, cluster_size=size))


def test_counts_of_other_clusters_do_not_fit_a_network(files, counts):
    codec = of_parts(files, "network")
    other = core_counts(counts._replace(n_clusters=6))
    with pytest.raises(ValueError, match="clusters"):
        NeuralCodec(codec.tokenizer, codec.constants, codec.network, other)


def test_constants_of_one_step_are_read(tmp_path):
    """As files were before there was a second."""
    from safetensors.numpy import save_file

    start = default_constants()
    names = {"prior_SE": "prior_E", "share_S": "share", "gate_SGE": "gate_GE", "copy_gate_SGE": "copy_gate_GE",
             "gate_rate_S": "gate_rate", "copy_SLB": "copy_LB", "copy_strength_S": "copy_strength"}  # fmt: skip
    values = {name: np.asarray(getattr(start, name)) for name in ("discount_K", "spread_K", "spread_floor_K")}
    values |= {before: np.array(getattr(start, name)[0]) for name, before in names.items()}
    save_file(values, str(tmp_path / "one"))
    save_constants(start, tmp_path / "two")
    for name in ("one", "two"):
        found = load_constants((tmp_path / name).read_bytes())
        for field, value in start._asdict().items():
            np.testing.assert_array_equal(getattr(found, field), value, err_msg=field)
