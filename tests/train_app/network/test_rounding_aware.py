"""A network that is trained as its integers round it."""

import hybrids
import lone_worker
import numpy as np
import pytest
import torch
from lone_worker import CONFIG

from train_app.adaptation.core_engine import CoreEngine
from train_app.integers import quantise as quantise_module
from train_app.integers.quantisation_loss import integer_bits
from train_app.integers.quantise import calibrate, quantise, quantise_rows
from train_app.network.batches import StreamBatches
from train_app.network.calibration import measured, rounding_steps, some_batches
from train_app.network.loop import Run
from train_app.network.straight_through import rounded, rounded_rows
from train_app.network.worker import CHECKPOINT_FILE
from train_app.samples.tokens import TokenStream


def test_gradients_pass_but_where_it_was_cut_off():
    x = torch.tensor([0.26, -0.1, 99.0, -99.0], requires_grad=True)
    result = rounded(x, torch.tensor([0.5, 0.5, 0.1, 0.1]))
    assert result.tolist() == pytest.approx([0.5, 0.0, 12.7, -12.7])
    result.sum().backward()
    assert x.grad.tolist() == [1, 1, 0, 0]


def test_rows_have_steps_of_their_own():
    rows = rounded_rows(torch.tensor([[12.7, 0.13], [1.27, 0.004], [0.0, 0.0]]))
    torch.testing.assert_close(rows, torch.tensor([[12.7, 0.1], [1.27, 0.0], [0.0, 0.0]]))


def first_records(stream, count):
    starts = stream.starts[: count + 1]
    return TokenStream(stream.tokens_N[: starts[-1]], starts, stream.n_bytes[:count], stream.sets[:count])


def nats(model, stream):
    batches = StreamBatches(stream, model.config, model.hash_ids())
    with torch.no_grad():
        return model.token_nats(batches.at(torch.zeros(1, dtype=torch.long), len(batches))).flatten()


def record_bits(nats_of, stream):
    """Of each record; the last position of the stream has no target."""
    of_record = np.repeat(np.arange(len(stream.sets)), np.diff(stream.starts))[: len(nats_of)]
    return np.bincount(of_record, nats_of.double().numpy()) / np.log(2)


def test_the_network_is_what_its_integers_will_be(monkeypatch):
    """Where each weight is rounded to the nearest: records cost in floats what they cost in integers."""
    monkeypatch.setattr(quantise_module, "round_rows", lambda weight, _moments: quantise_rows(weight))
    model, stream = hybrids.hybrid(), first_records(hybrids.sample_stream(), 15)
    batches = some_batches(stream, model)
    exact = record_bits(nats(model, stream), stream)
    engine = CoreEngine(quantise(model, calibrate(model, batches)), model.config)
    begins = zip(stream.starts[:-1], stream.starts[1:], strict=True)
    integers = np.array([integer_bits(engine, stream.tokens_N[begin:end]) for begin, end in begins])
    model.round_by(rounding_steps(model, measured(model, batches)))
    simulated = record_bits(nats(model, stream), stream)
    whole = slice(-1)  # the last record may be cut off
    assert np.abs(simulated - integers)[whole].sum() < 0.3 * np.abs(exact - integers)[whole].sum()
    model.round_by({})
    np.testing.assert_array_equal(record_bits(nats(model, stream), stream), exact)


@pytest.fixture(scope="module")
def streams():
    return {name: first_records(stream, 120) for name, stream in lone_worker.sample_streams().items()}


@pytest.fixture(scope="module")
def aware(settings):
    """Six steps, the last three with rounding."""
    return lone_worker.steady(settings, 6, 6, batch_size=3, rounding_from=0.5)


def losses(folder):
    return [line["loss_nats"] for line in lone_worker.log(folder) if "loss_nats" in line]


def test_from_half_of_the_budget_on(streams, aware, tmp_path):
    """Stopped behind it, it goes on to the same weights, whose names are those of any run; a run that starts from
    them begins without."""
    alone, stopped, plain = (tmp_path / name for name in ("alone", "stopped", "plain"))
    lone_worker.run(streams, aware, CONFIG, alone)
    assert [line["step"] for line in lone_worker.log(alone) if "rounding" in line] == [3]
    often = aware.model_copy(update={"checkpoint_interval_s": 1e-9})
    for stop_at in (4, None):
        lone_worker.run(streams, often, CONFIG, stopped, stop_at=stop_at)
    lone_worker.run(streams, aware.model_copy(update={"rounding_from": 1.0}), CONFIG, plain)
    (weights, state), (same, _), (other, without) = (lone_worker.weights(each) for each in (alone, stopped, plain))
    assert (weights - same).norm() < 1e-4 * weights.norm()
    assert (weights - other).norm() > 1e-2 * weights.norm()
    assert "layers.1.query_key_value" in state["rounding_steps"]
    assert without["rounding_steps"] == {}
    assert without["model"].keys() == state["model"].keys()
    later = tmp_path / "later"
    run = Run(lone_worker.LoneWorker(streams, later), aware, CONFIG, later, alone / CHECKPOINT_FILE)
    assert run.model.steps == {}
    run.feed.close()
    run.log.close()


@pytest.mark.slow
def test_two_workers(streams, aware, tmp_path):
    """A last bit rounds otherwise here and there: the losses are near."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    lone_worker.run(streams, aware, CONFIG, alone)
    lone_worker.run_together(streams, aware, CONFIG, together, 2)
    assert losses(together) == pytest.approx(losses(alone), abs=0.02)
