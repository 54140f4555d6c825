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
    relief = Relief(0.25, 4096)
    assert relief.effort(AUTO) == AUTO
    with relief.waiting(100):
        clock.append(0.2)
        assert relief.effort(AUTO) == AUTO
    clock.append(9)
    assert relief.effort(AUTO) == AUTO


def test_as_long_as_one_has_waited_for_so_long(clock):
    relief = Relief(0.25, 4096)
    with ExitStack() as second:
        with relief.waiting(4096):
            clock.append(0.2)
            second.enter_context(relief.waiting(100))
            clock.append(0.06)
            assert relief.effort(AUTO) == EffortSetting("fast", 40.0)
        assert relief.effort(AUTO) == AUTO
        clock.append(0.2)
        assert relief.effort(AUTO).name == "fast"
    assert relief.effort(AUTO) == AUTO


def test_what_asks_for_another_effort_has_it(clock):
    relief = Relief(0.25, 4096)
    with relief.waiting(100):
        clock.append(9)
        for name in ("max", "fast"):
            assert relief.effort(EffortSetting(name)) == EffortSetting(name)
        assert Relief(None, 4096).effort(AUTO) == AUTO


def test_a_large_request_is_no_sign_of_load(clock):
    relief = Relief(0.25, 4096)
    with relief.waiting(4097):
        clock.append(9)
        assert relief.effort(AUTO) == AUTO


def test_one_that_fails_does_not_wait(clock):
    relief = Relief(0.25, 4096)
    with pytest.raises(KeyError), relief.waiting(100):
        raise KeyError
    clock.append(9)
    assert relief.effort(AUTO) == AUTO
