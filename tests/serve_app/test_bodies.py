"""Bodies that are read as records, without a service."""

import synthetic

from nbmf.client import messages
from nbmf.payload import MAX_DEPTH, to_canonical
from serve_app import bodies


def test_the_deepest_payload_does_not_harm_its_batch():
    payloads = ["short", synthetic.nested(MAX_DEPTH)]
    body = messages.batch_body("records", [messages.record_json(p, "k") for p in payloads])
    items = bodies.batch_of(bodies.parse_object(body), "records")
    assert [bodies.record_from_json(item, 10**6) for item in items] == [to_canonical(p) for p in payloads]
