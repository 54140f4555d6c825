"""What messages of nbmf.proto stand for."""

import base64

from nbmf.payload import Kind
from nbmf.wire import canonical_from_wire
from serve_app.grpc import messages
from serve_app.grpc import nbmf_pb2 as pb


def canonical_of(payload):
    """(kind, canonical bytes) of a payload's message."""
    text = messages.json_of(pb.Record(payload=payload))
    if text is not None:
        return canonical_from_wire({"json_base64": base64.b64encode(text)})
    kind, canonical, _ = messages.keyed_of(pb.Record(payload=payload), None, 1 << 30).record
    return Kind(kind), canonical
