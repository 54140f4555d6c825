"""How much time coding may take for how small a blob."""

from typing import Literal

Effort = Literal["auto", "fast", "max"]
"""max: the smallest blob, however long it takes to encode and decode. auto: that within the latency budget. fast: no
network; of records that are too large for the counts as a whole, as much by them as the latency budget allows."""

DEFAULT_LATENCY_BUDGET_MS = 100.0
"""How long decoding a record may take with effort "auto", as far as can be told when it is encoded."""
