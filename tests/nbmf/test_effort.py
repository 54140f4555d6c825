"""An effort and its budget: which there are, and what has a budget at all."""

import math

import pytest

import nbmf
from nbmf.effort import EffortSetting


def test_only_auto_has_a_budget():
    assert EffortSetting() == EffortSetting("auto", 100)
    assert (EffortSetting().budget_ms, EffortSetting("auto", math.inf).budget_ms) == (100.0, math.inf)
    assert (EffortSetting("fast", 7).budget_ms, EffortSetting("max").budget_ms) == (None, None)
    assert EffortSetting("fast", 7).keywords == {"effort": "fast", "latency_budget_ms": 7}


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"effort": "most"}, "effort is one of auto, fast, max, not 'most'"),
        ({"latency_budget_ms": -1}, "latency_budget_ms is a number of milliseconds, not -1"),
        ({"latency_budget_ms": math.nan}, "latency_budget_ms is a number of milliseconds, not nan"),
    ],
)
def test_what_is_none_is_refused(keywords, message):
    with pytest.raises(ValueError, match=message):
        nbmf.encode("x", **keywords)
    with pytest.raises(ValueError, match=message):
        nbmf.Codec().encode_canonical_batch([], **keywords)
