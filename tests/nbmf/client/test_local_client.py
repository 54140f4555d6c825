"""The codec of this process behind the clients' interface."""

import random

import helpers
import pytest
from hypothesis import given

from nbmf import Codec, inspect
from nbmf.client import LocalClient, Version
from nbmf.errors import NotABlob, PayloadTooLarge, UnknownCodec, UnsupportedPayload

CLIENT = LocalClient(Codec())


@given(helpers.payloads)
def test_there_and_back(payload):
    assert helpers.same(CLIENT.decode(CLIENT.encode(payload, key="k", timeout_s=1)), payload)


def test_batches():
    payloads = [*helpers.sample_payloads(), {1, 2}]
    *blobs, error = CLIENT.encode_batch(payloads, keys=["k"] * len(payloads))
    assert isinstance(error, UnsupportedPayload)
    *decoded, error = CLIENT.decode_batch([*blobs, b"no"])
    assert isinstance(error, NotABlob)
    for found, payload in zip(decoded, payloads, strict=False):
        assert helpers.same(found, payload)


def test_the_codec_encodes_and_decodes(codec):
    client = LocalClient(codec)
    blob = client.encode([{"role": "user", "content": helpers.sentence(random.Random(1)) * 5}])
    assert blob == codec.encode(client.decode(blob))
    (version,) = client.versions()
    assert (version.id, version.name, type(version)) == (codec.id, "test", Version)
    if inspect(blob).codec:
        (error,) = LocalClient(Codec()).decode_batch([blob])
        assert isinstance(error, UnknownCodec)


def test_limits_and_keys():
    client = LocalClient(Codec(), max_payload_bytes=10)
    with pytest.raises(PayloadTooLarge):
        client.encode("x" * 11)
    with pytest.raises(ValueError, match="keys"):
        client.encode_batch(["a"], keys=["k", "l"])
    assert client.versions() == []
    assert client.health().ok
