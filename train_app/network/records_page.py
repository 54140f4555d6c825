"""Where a record costs: records with the bits of each of their tokens as colours, as a page of its own."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_MOST_BITS = 12.0
"""Of a token that is coloured the most; few need more."""

_LEGEND = (0, 1, 2, 4, 8, 12)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Where records cost</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
pre {{ font: 13px/1.7 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  border: 1px solid #ddd; padding: 0.6rem }}
span {{ border-radius: 2px }}
p {{ color: #555 }}
</style>
</head>
<body>
<h1>Where records cost</h1>
<p>Bits that the network alone needs for each token of records that it did not learn from: {legend}</p>
{body}
</body>
</html>
"""


@dataclass(frozen=True)
class CostlyRecord:
    """A record's tokens as bytes, the bits that each needs, and whether it goes on behind them."""

    name: str
    tokens: Sequence[bytes]
    bits: Sequence[float]
    cut: bool


def to_html(records: Iterable[CostlyRecord]) -> str:
    """The whole page: nothing loaded from elsewhere, nothing that runs."""
    legend = " ".join(_span(f" {bits} ", bits) for bits in _LEGEND)
    return _PAGE.format(legend=legend, body="\n".join(map(_section, records)))


def _section(record: CostlyRecord) -> str:
    n_bytes = sum(map(len, record.tokens))
    total = sum(record.bits)
    title = f"{record.name}: {total / max(1, n_bytes):.2f} bits a byte"
    sizes = f"{n_bytes:,} bytes, {len(record.tokens):,} tokens, {total:,.0f} bits"
    if record.cut:
        sizes += "; only its beginning is here"
    spans = "".join(_span(text, bits) for text, bits in _shown(record))
    return f"<h2>{escape(title)}</h2>\n<p>{escape(sizes)}</p>\n<pre>{spans}</pre>"


def _shown(record: CostlyRecord) -> Iterable[tuple[str, float]]:
    """Text and bits of tokens; tokens that are parts of a character together."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    waiting = 0.0
    for token, bits in zip(record.tokens, record.bits, strict=True):
        text = decoder.decode(token)
        waiting += bits
        if text:
            yield text, waiting
            waiting = 0.0
    if rest := decoder.decode(b"", final=True):
        yield rest, waiting


def _span(text: str, bits: float) -> str:
    """White for nothing, through yellow to red."""
    share = min(1.0, max(0.0, bits) / _MOST_BITS) ** 0.5
    colour = f"hsl({55 * (1 - share):.0f} 95% {100 - 42 * share:.0f}%)"
    return f'<span style="background:{colour}" title="{bits:.2f} bits">{escape(text)}</span>'
