"""Both clients as one, and answers to them."""

import asyncio

import httpx
import pytest

from nbmf import Codec
from nbmf.client import (
    AsyncClient,
    Client,
    RetryPolicy,
)
from nbmf.wire import dump, from_base64, from_wire, load, to_wire

QUICK = RetryPolicy(first_pause_s=0.001)
BLOB = Codec().encode("x")


class InThisLoop:
    """An AsyncClient, called as a Client."""

    def __init__(self, *args, **options):
        self._client = AsyncClient(*args, **options)
        self._runner = asyncio.Runner()

    def __getattr__(self, name):
        method = getattr(self._client, name)
        return lambda *args, **options: self._runner.run(method(*args, **options))

    def __enter__(self):
        self._runner.run(self._client.__aenter__())
        return self

    def __exit__(self, *_):
        self._runner.run(self._client.__aexit__())
        self._runner.close()


both = pytest.mark.parametrize("make", [Client, InThisLoop], ids=["sync", "async"])


def mocked(make, respond, **options):
    options = {"retries": QUICK, **options}
    return make("http://test/base", transport=httpx.MockTransport(respond), **options)


def service(request):
    """Encodes and decodes what it is sent, as the service does."""
    codec, asked = Codec(), load(request.content)

    def encode(fields):
        fidelity = fields.pop("fidelity", "lossless")
        (coded,) = codec.encode_measured([from_wire(fields)], fidelity)
        told = {"similarity": coded.changed.similarity()} if coded.changed else {}
        return {"blob": to_wire(coded.blob)["bytes_base64"]} | told

    def decode(blob):
        return to_wire(codec.decode(from_base64(blob, "blob")))

    if "records" in asked or "blobs" in asked:
        results = [encode(one) for one in asked.get("records", [])] + [decode(one) for one in asked.get("blobs", [])]
        return httpx.Response(200, content=dump({"results": results}))
    return httpx.Response(200, content=dump(decode(asked["blob"]) if "blob" in asked else encode(asked)))


def encoded(request):
    return httpx.Response(200, json={"blob": to_wire(BLOB)["bytes_base64"]})
