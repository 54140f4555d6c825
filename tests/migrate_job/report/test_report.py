"""Reports: totals by class and coder, notable records, done-files of an older nbmf, and a page that runs nothing."""

import itertools
import json
from html.parser import HTMLParser
from math import inf
from xml.etree import ElementTree

import pytest

from migrate_job.report import details as details_module
from migrate_job.report.details import RATIO_EDGES, details, semantic_rows
from migrate_job.report.report import Report
from migrate_job.report.report_html import to_html
from nbmf import Codec
from nbmf.vectors.changed import Changed

OLD_COUNTS = {
    "records": 3,
    "migrated": 2,
    "previews": 0,
    "dead": 1,
    "dead_reasons": {"not_json": 1},
    "source_bytes": 30,
    "payload_bytes": 20,
    "blob_bytes": 10,
}
"""As a done-file was before there were filters and details."""


def row(key, record_class, payload):
    return {
        "key": key,
        "class": record_class,
        "payload_bytes": len(payload),
        "blob": Codec().encode(payload),
        "changed": None,
    }


def counts_of(rows, **more):
    sizes = {"payload_bytes": sum(r["payload_bytes"] for r in rows), "blob_bytes": sum(len(r["blob"]) for r in rows)}
    counts = {"records": len(rows), "migrated": len(rows), **sizes, **details(rows), "seconds": 1.5}
    return counts | more


def report_of(*shards):
    report = Report("version", "auto", 100.0)
    for counts in shards:
        report.add(json.loads(json.dumps(counts)))
    return report


def test_totals_by_class_and_coder():
    rows = [row("a", "note", "x" * 500), row("b", "note", "y"), row("c", "", "z" * 900)]
    found = details(rows)
    assert found["classes"] == {
        "note": {"records": 2, "payload_bytes": 501, "blob_bytes": len(rows[0]["blob"]) + len(rows[1]["blob"])},
        "": {"records": 1, "payload_bytes": 900, "blob_bytes": len(rows[2]["blob"])},
    }
    assert {name: one["records"] for name, one in found["coders"].items()} == {"deflate": 2, "stored": 1}


def test_shards_add_up_in_any_order():
    rows = [row(f"k{n:03}", "ab"[n % 2], "text " * (n * 7 % 31)) for n in range(40)]
    shards = [counts_of(rows[at : at + 9], skipped=1, skipped_reasons={"over_limit": 1}) for at in range(0, 40, 9)]
    whole = report_of(counts_of(rows, skipped=5, skipped_reasons={"over_limit": 5}))
    assert report_of(*shards) == report_of(*reversed(shards)) == whole
    assert report_of(*shards).seconds == 7.5
    sizes = sorted((r["payload_bytes"] for r in rows), reverse=True)
    assert [one["payload_bytes"] for one in whole.largest] == sizes[:10]
    ratios = [r["payload_bytes"] / len(r["blob"]) for r in rows]
    assert [one["ratio"] for one in whole.to_dict()["worst_ratio"]] == sorted(ratios)[:10]
    assert set(whole.largest[0]) == {"key", "payload_bytes", "blob_bytes"}


def test_what_fidelity_semantic_changed():
    near = [
        {**row("a", "note", "x"), "changed": Changed(2, 0.996, 0.99, 900)},
        {**row("b", "note", "yy"), "changed": Changed(1, 0.981, 0.981, 700)},
    ]
    report = report_of(counts_of([near[0], row("c", "note", "z")]), counts_of([near[1]]), counts_of([]), OLD_COUNTS)
    assert report.to_dict()["semantic"] == {
        "records": 2,
        "vectors": 3,
        "cosine_min": 0.981,
        "cosine_mean": pytest.approx((2 * 0.996 + 0.981) / 3),
        "blob_bytes": sum(len(one["blob"]) for one in near),
        "lossless_bytes": 1600,
    }
    assert "<td>0.99100, 0.98100</td>" in to_html(report)
    assert ("vectors that it changed", "3") in semantic_rows(report.to_dict()["semantic"])
    nothing = report_of(counts_of([row("c", "note", "z")])).to_dict()["semantic"]
    assert (nothing["records"], nothing["cosine_mean"], nothing["cosine_min"]) == (0, None, None)
    assert semantic_rows(nothing) == []


def test_done_files_of_an_older_nbmf():
    report = report_of(OLD_COUNTS, counts_of([row("a", "note", "xy")]))
    assert (report.records, report.migrated, report.dead, report.undetailed) == (4, 3, 1, 2)
    assert report.classes["note"]["records"] == 1
    assert "2 records were migrated by an nbmf that did not count" in to_html(report)
    assert "did not count" not in to_html(report_of(counts_of([])))


def test_ratios_are_where_there_are_blobs():
    assert report_of().to_dict()["ratio"] is None
    assert report_of(OLD_COUNTS).to_dict()["ratio"] == 2


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.names, self.attributes = set(), set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


HOSTILE = "<script>alert(1)</script>\"'&{body}"


@pytest.mark.parametrize("where", ["key", "class", "reason", "version"])
def test_names_are_text_on_the_page(where):
    name = {where: HOSTILE}
    counts = counts_of([row(name.get("key", "k"), name.get("class", "c"), "text")])
    report = report_of(counts, OLD_COUNTS | {"dead_reasons": {name.get("reason", "r"): 1}})
    report.version = name.get("version", "v")
    page = to_html(report)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;{body}" in page
    tags = Tags(page)
    assert not tags.names & {"script", "link", "img", "iframe"}
    assert not tags.attributes & {"src", "href", "onload", "onerror"}


def widths(svg):
    return [float(bar.get("width")) for bar in svg.iter("rect")]


def test_bars_are_as_long_as_the_numbers():
    rows = [row("a", "good", "x" * 2000), row("b", "poor", "abc")]
    page = to_html(report_of(counts_of(rows)))
    drawn = [ElementTree.fromstring(part.split("</svg>")[0] + "</svg>") for part in split_svg(page)]
    _, ratios_drawn, bytes_drawn, _ = map(widths, drawn)
    sizes = [(r["payload_bytes"], len(r["blob"])) for r in rows]
    ratios = [payload / blob for payload, blob in sizes]
    assert ratios_drawn == [360, pytest.approx(360 * ratios[1] / ratios[0], abs=0.1)]
    assert bytes_drawn == pytest.approx([360 * size / 2000 for pair in sizes for size in pair], abs=0.1)


def test_the_histogram_counts_every_record():
    rows = [row(str(n), "c", "x" * n) for n in (0, 1, 2, 40, 60, 500)]
    report = report_of(counts_of(rows))
    ratios = [r["payload_bytes"] / len(r["blob"]) for r in rows]
    assert sum(report.ratios.values()) == len(rows)
    for lower, upper in itertools.pairwise((*RATIO_EDGES, inf)):
        assert report.ratios.get(f"{lower:g}", 0) == sum(lower <= ratio < upper for ratio in ratios)
    histogram = ElementTree.fromstring(split_svg(to_html(report))[0].split("</svg>")[0] + "</svg>")
    edges = sorted(float(edge) for edge in report.ratios)
    shown = [edge for edge in RATIO_EDGES if edges[0] <= edge <= edges[-1]]
    most = max(report.ratios.values())
    assert widths(histogram) == pytest.approx([360 * report.ratios.get(f"{e:g}", 0) / most for e in shown], abs=0.1)


def test_too_many_classes_are_folded():
    count = 2 * details_module.MAX_CLASSES
    totals = {f"c{n}": {"records": 1, "payload_bytes": n, "blob_bytes": 1} for n in range(count)}
    details_module.fold(totals)
    assert len(totals) == details_module.MAX_CLASSES + 1
    assert totals[details_module.OTHERS]["records"] == details_module.MAX_CLASSES
    assert f"c{count - 1}" in totals
    assert "c0" not in totals


def test_records_of_an_older_nbmf_were_verified():
    report = report_of(OLD_COUNTS, counts_of([row("a", "note", "xy")], verified=0))
    assert (report.migrated, report.verified) == (3, 2)


def split_svg(page):
    return ["<svg" + part for part in page.split("<svg")[1:]]


def test_a_report_of_nothing_is_a_page():
    assert "<h1>Migration</h1>" in to_html(report_of())
