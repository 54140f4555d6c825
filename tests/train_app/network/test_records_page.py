"""The page of where records cost: whole, escaped, nothing loaded, bits as colours."""

import re
from html import unescape

import hybrids
import networks
import pytest

from train_app.integers.quantisation_loss import float_bits
from train_app.network.costs import costly_records
from train_app.network.records_page import CostlyRecord, to_html
from train_app.samples.tokens import tokenise_samples


def test_text_is_escaped_and_characters_are_whole():
    ideograph = "日".encode()
    tokens = [b"<script>alert(1)</script>", ideograph[:1], ideograph[1:], b"&\xff"]
    page = to_html([CostlyRecord("a <class>", tokens, [0.0, 3.0, 4.0, 30.0], cut=True)])
    assert "<script" not in page
    assert "a &lt;class&gt;: 1.23 bits a byte" in page
    assert "only its beginning" in page
    spans = re.findall(
        r'<span style="background:(hsl\([^"]+\))" title="([0-9.]+) bits">([^<]*)</span>', page.split("</h2>")[1]
    )
    assert [(bits, unescape(text)) for _, bits, text in spans] == [
        ("0.00", "<script>alert(1)</script>"),
        ("7.00", "日"),
        ("30.00", "&\ufffd"),
    ]
    assert spans[0][0] == "hsl(55 95% 100%)"
    assert spans[2][0] == "hsl(0 95% 58%)"
    assert not re.search(r"(?:src|href)=|<script|@import|url\(", page)


@pytest.fixture(scope="module")
def samples():
    return networks.sample_records()


def test_records_of_each_class_with_what_the_network_needs(samples):
    model, vocabulary = hybrids.hybrid(), networks.vocabulary(samples)
    found = costly_records(model, vocabulary, samples)
    assert len(found) == 24
    kinds = [record.name.split(",")[0] for record in found]
    assert {*kinds} == {"text", "messages", "json"}
    assert [*kinds[:3]] == list(dict.fromkeys(kinds))
    by_digest = {sample.digest.hex()[:8]: sample for sample in samples}
    for record in found[:6]:
        sample = by_digest[record.name.split(", ")[1]]
        text = b"".join(record.tokens)
        assert sample.canonical.startswith(text) if record.cut else sample.canonical == text
        if not record.cut:
            stream = tokenise_samples([sample], vocabulary)
            assert sum(record.bits) == pytest.approx(float_bits(model, stream.tokens_N), rel=1e-4)
    assert any(record.cut for record in found) == any(len(record.tokens) == 1500 for record in found)
