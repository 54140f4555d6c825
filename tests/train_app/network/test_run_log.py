"""What a run writes is in its log and in TensorBoard's file when `write` returns."""

import contextlib
import json

import numpy as np
import pytest
import tensorboard_events
from tensorboardX.proto import event_pb2

from train_app.network.run_log import EVENTS_FOLDER, LOG_FILE, RunLog

LINES = [
    {"step": 10, "loss_nats": 5.25, "learning_rate": 0.0125, "tokens_per_s": 1500},
    {"step": 20, "loss_nats": 4.5, "learning_rate": 0.02, "tokens_per_s": 1600},
    {"step": 20, "validation_bits_per_byte": np.float64(2.75), "final": True},
]


@pytest.fixture
def stack():
    with contextlib.ExitStack() as held:
        yield held


def test_every_line_is_in_both_places_at_once(tmp_path, stack):
    log = stack.enter_context(contextlib.closing(RunLog(tmp_path, 1)))
    for count, line in enumerate(LINES, 1):
        log.write(line)
        assert len((tmp_path / LOG_FILE).read_text().splitlines()) == count
        found = tensorboard_events.scalars(tmp_path / EVENTS_FOLDER)
        assert sum(map(len, found.values())) == sum(len(seen) - 1 - ("final" in seen) for seen in LINES[:count])
    assert found["loss_nats"] == [(10, 5.25), (20, 4.5)]
    assert found["learning_rate"] == [(10, pytest.approx(0.0125)), (20, pytest.approx(0.02))]
    assert found["tokens_per_s"] == [(10, 1500), (20, 1600)]
    assert found["validation_bits_per_byte"] == [(20, 2.75)]
    assert found.keys() == {"loss_nats", "learning_rate", "tokens_per_s", "validation_bits_per_byte"}
    written = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [{name: value for name, value in line.items() if name != "time"} for line in written] == LINES


def test_numbers_of_a_dictionary_are_scalars_by_both_names(tmp_path, stack):
    log = stack.enter_context(contextlib.closing(RunLog(tmp_path, 1)))
    log.write(
        {"step": 3, "class_bits_per_byte": {"code": 1.5, "a/b": 2.0}, "minutes_left": None, "process": "7 on here"}
    )
    assert tensorboard_events.scalars(tmp_path / EVENTS_FOLDER) == {
        "class_bits_per_byte/code": [(3, 1.5)],
        "class_bits_per_byte/a/b": [(3, 2.0)],
    }


def test_a_run_that_goes_on_voids_the_steps_that_it_repeats(tmp_path):
    """It goes on from a checkpoint at step 12; the file of before is kept."""
    for first_step, line in ((1, LINES[0]), (13, LINES[1])):
        with contextlib.closing(RunLog(tmp_path, first_step)) as log:
            log.write(line)
    starts = [e for e in tensorboard_events.events(tmp_path / EVENTS_FOLDER) if e.HasField("session_log")]
    assert [e.step for e in starts] == [1, 13]
    assert {e.session_log.status for e in starts} == {event_pb2.SessionLog.START}
    assert tensorboard_events.scalars(tmp_path / EVENTS_FOLDER)["loss_nats"] == [(10, 5.25), (20, 4.5)]
