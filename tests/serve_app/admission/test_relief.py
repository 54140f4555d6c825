"""Under load effort auto becomes fast, for as long as small requests wait."""

import time
from contextlib import ExitStack

import pytest

from nbmf.effort import EffortSetting
from serve_app.admission.relief import Relief

AUTO = EffortSetting("auto", 40.0)


@pytest.fixture
def clock(monkeypatch):
    """A list: append how many seconds go by."""
    gone = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: sum(gone))
    return gone


def test_nothing_waits(clock):
    relief = Relief(0.25)
    assert relief.effort(AUTO) == AUTO
    with relief.waiting(100), relief.waiting(100):
        clock.append(0.2)
        assert relief.effort(AUTO) == AUTO
    clock.append(9)
    assert relief.effort(AUTO) == AUTO


def test_as_long_as_two_have_waited_for_so_long(clock):
    relief = Relief(0.25)
    with ExitStack() as others:
        others.enter_context(relief.waiting(100))
        with relief.waiting(4096):
            clock.append(0.2)
            others.enter_context(relief.waiting(100))
            clock.append(0.06)
            assert relief.effort(AUTO) == EffortSetting("fast", 40.0)
        assert relief.effort(AUTO) == AUTO
        clock.append(0.2)
        assert relief.effort(AUTO).name == "fast"
    assert relief.effort(AUTO) == AUTO


def test_one_may_wait_for_a_lost_replica(clock):
    relief = Relief(0.25)
    with relief.waiting(100):
        clock.append(30)
        with relief.waiting(100):
            assert relief.effort(AUTO) == AUTO


def test_what_asks_for_another_effort_has_it(clock):
    relief, never = Relief(0.25), Relief(None)
    with relief.waiting(100), relief.waiting(100), never.waiting(100), never.waiting(100):
        clock.append(9)
        for name in ("max", "fast"):
            assert relief.effort(EffortSetting(name)) == EffortSetting(name)
        assert relief.effort(AUTO).name == "fast"
        assert never.effort(AUTO) == AUTO


def test_large_requests_are_no_sign_of_load(clock):
    relief = Relief(0.25)
    with relief.waiting(4097), relief.waiting(4097), relief.waiting(4096):
        clock.append(9)
        assert relief.effort(AUTO) == AUTO


def test_those_that_fail_do_not_wait(clock):
    relief = Relief(0.25)
    for _ in range(2):
        with pytest.raises(KeyError), relief.waiting(100):
            raise KeyError
    clock.append(9)
    assert relief.effort(AUTO) == AUTO
