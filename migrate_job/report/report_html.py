"""A report as a page of its own: tables and bars, nothing loaded from elsewhere, nothing that runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from migrate_job.report.details import RATIO_EDGES, semantic_rows
from migrate_job.report.report import Report

_ROWS = 50
"""Classes that are shown, those of the most payload bytes; report.json has all of them."""

_LABEL_PX, _BAR_PX, _TEXT_PX, _LINE_PX = 220, 360, 240, 22

_NO_NAME = "(without a name)"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Migration</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; margin: 0.5rem 0 1.5rem }}
th, td {{ padding: 0.2rem 0.8rem; border-bottom: 1px solid #ddd; text-align: right; overflow-wrap: anywhere }}
th:first-child, td:first-child {{ text-align: left }}
svg {{ font: 13px system-ui, sans-serif }}
rect {{ fill: #4a7ab5 }}
rect.payload {{ fill: #c9d6e6 }}
figure {{ margin: 0.5rem 0 }}
figcaption {{ color: #555 }}
</style>
</head>
<body>
<h1>Migration</h1>
{body}
</body>
</html>
"""


def to_html(report: Report) -> str:
    """The whole page."""
    fields = report.to_dict()
    classes = _by_payload(fields["classes"])
    coders = _by_payload(fields["coders"])
    shown = classes[:_ROWS]
    parts = [_table(("", ""), _overview(fields))]
    if fields["undetailed"]:
        parts.append(
            f"<p>{fields['undetailed']:,} records were migrated by an nbmf that did not count what follows; "
            "it is about the others.</p>"
        )
    parts += ["<h2>Ratios</h2>", _figure("Records by payload bytes / blob bytes", _bars(_histogram(fields["ratios"])))]
    parts += ["<h2>Failures</h2>", _reasons(fields["dead_reasons"])]
    parts += ["<h2>Skipped</h2>", _reasons(fields["skipped_reasons"])]
    parts += ["<h2>Not read</h2>", _not_read(fields["not_read"])]
    parts += ["<h2>Classes</h2>"]
    ratios = _bars((name, totals["ratio"] or 0, f"{totals['ratio'] or 0:.2f}") for name, totals in shown)
    parts += [_figure("Payload bytes / blob bytes", ratios)]
    parts += [_figure("Bytes of payload, and of blobs (dark)", _bytes_bars(shown))]
    parts += [_totals("class", shown)]
    if len(classes) > len(shown):
        parts.append(f"<p>And {len(classes) - len(shown):,} more, in report.json.</p>")
    counted = sum(totals["records"] for _, totals in coders) or 1
    shares = _bars((name, totals["records"], f"{totals['records'] / counted:.1%}") for name, totals in coders)
    parts += ["<h2>Coders</h2>", _figure("Share of the records", shares), _totals("coder", coders)]
    parts += ["<h2>Largest records</h2>", _notable(fields["largest"])]
    parts += ["<h2>Records of the worst ratio</h2>", _notable(fields["worst_ratio"])]
    return _PAGE.format(body="\n".join(parts))


def _overview(fields: dict[str, Any]) -> list[tuple[str, str]]:
    budget = fields["latency_budget_ms"]
    effort = fields["effort"] if budget is None else f"{fields['effort']}, within {budget:g} ms"
    return [
        ("codec version", fields["version"]),
        ("effort", effort),
        ("records in the source", f"{fields['records']:,}"),
        ("migrated", f"{fields['migrated']:,}"),
        ("of these, decoded and compared", f"{fields['verified']:,}"),
        ("of these, previews of the stub", f"{fields['previews']:,}"),
        ("failed", f"{fields['dead']:,}"),
        ("skipped", f"{fields['skipped']:,}"),
        ("bytes in the source", f"{fields['source_bytes']:,}"),
        ("payload bytes", f"{fields['payload_bytes']:,}"),
        ("blob bytes", f"{fields['blob_bytes']:,}"),
        *semantic_rows(fields["semantic"]),
        ("payload bytes / blob bytes", _ratio(fields)),
        ("seconds, summed over parallel tasks", f"{fields['seconds']:,.1f}"),
    ]


def _by_payload(totals: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    named = ((name or _NO_NAME, sized) for name, sized in totals.items())
    return sorted(named, key=lambda named: (-named[1]["payload_bytes"], named[0]))


def _ratio(sized: dict[str, Any]) -> str:
    return "" if sized["ratio"] is None else f"{sized['ratio']:.2f}"


def _reasons(counts: dict[str, int]) -> str:
    if not counts:
        return "<p>None.</p>"
    return _table(("reason", "records"), [(reason, f"{count:,}") for reason, count in sorted(counts.items())])


def _not_read(found: dict[str, Any]) -> str:
    if not found["files"]:
        return "<p>Nothing: all files of the source are in this report.</p>"
    shown = found["listed"][:_ROWS]
    rows = [(one["place"], one["reason"], one["detail"]) for one in shown]
    more = found["files"] - len(shown)
    table = _table(("file or folder", "reason", ""), rows)
    return f"{table}<p>And {more:,} more, in report.json.</p>" if more else table


def _totals(what: str, totals: Iterable[tuple[str, dict[str, Any]]]) -> str:
    rows = [
        (name, f"{one['records']:,}", f"{one['payload_bytes']:,}", f"{one['blob_bytes']:,}", _ratio(one))
        for name, one in totals
    ]
    return _table((what, "records", "payload bytes", "blob bytes", "ratio"), rows)


def _notable(records: list[dict[str, Any]]) -> str:
    rows = [(one["key"], f"{one['payload_bytes']:,}", f"{one['blob_bytes']:,}", _ratio(one)) for one in records]
    return _table(("key", "payload bytes", "blob bytes", "ratio"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_row("td", row) for row in rows]
    return "\n".join(["<table>", *([_row("th", head)] if any(head) else []), *lines, "</table>"])


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figure(caption: str, svg: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>\n{svg}\n</figure>"


def _histogram(counts: dict[str, int]) -> Iterator[tuple[str, float, str]]:
    """A line for each range between the first and the last that hold records."""
    held = [at for at, edge in enumerate(RATIO_EDGES) if counts.get(f"{edge:g}")]
    for at in range(held[0], held[-1] + 1) if held else ():
        edge = RATIO_EDGES[at]
        name = f"{edge:g} to {RATIO_EDGES[at + 1]:g}" if at + 1 < len(RATIO_EDGES) else f"{edge:g} and more"
        count = counts.get(f"{edge:g}", 0)
        yield name, count, f"{count:,}"


def _bytes_bars(totals: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """A line each: the bar of the payload, and in it that of the blobs."""
    lines = list(totals)
    longest = max((one["payload_bytes"] for _, one in lines), default=0) or 1
    drawn = []
    for number, (name, one) in enumerate(lines):
        payload_px, blob_px = (one[what] / longest * _BAR_PX for what in ("payload_bytes", "blob_bytes"))
        drawn += [
            _label(number, name),
            _rect(number, payload_px, ' class="payload"'),
            _rect(number, blob_px),
            _end(number, max(payload_px, blob_px), f"{one['payload_bytes']:,} → {one['blob_bytes']:,}"),
        ]
    return _svg(len(lines), drawn)


def _bars(bars: Iterable[tuple[str, float, str]]) -> str:
    """A line each: name, length, and the text at its end; the longest is as wide as there is room."""
    lines = list(bars)
    longest = max((length for _, length, _ in lines), default=0) or 1
    drawn = []
    for number, (name, length, text) in enumerate(lines):
        width_px = length / longest * _BAR_PX
        drawn += [_label(number, name), _rect(number, width_px), _end(number, width_px, text)]
    return _svg(len(lines), drawn)


def _label(number: int, name: str) -> str:
    shown = name if len(name) <= 30 else name[:29] + "…"
    return f'<text x="{_LABEL_PX - 8}" y="{number * _LINE_PX + 15}" text-anchor="end">{escape(shown)}</text>'


def _rect(number: int, width_px: float, more: str = "") -> str:
    y, height = number * _LINE_PX + 3, _LINE_PX - 6
    return f'<rect{more} x="{_LABEL_PX}" y="{y}" width="{width_px:.1f}" height="{height}"/>'


def _end(number: int, width_px: float, text: str) -> str:
    return f'<text x="{_LABEL_PX + width_px + 6:.1f}" y="{number * _LINE_PX + 15}">{escape(text)}</text>'


def _svg(lines: int, drawn: list[str]) -> str:
    size = f'width="{_LABEL_PX + _BAR_PX + _TEXT_PX}" height="{max(1, lines) * _LINE_PX}"'
    return "\n".join([f'<svg role="img" {size}>', *drawn, "</svg>"])
