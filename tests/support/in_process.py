"""The service's ingress and replicas in this process, without Ray: what Serve itself does of a request is not there."""

from functools import cache
from types import SimpleNamespace

import grpc

from cluster import config as configuration
from nbmf.engine import Engine
from nbmf.vectors.aim import DEFAULT_AIM
from serve_app.config import DEFAULT_FILE, BatchConfig, DecoderLimits, ServeConfig
from serve_app.http.ingress import Ingress
from serve_app.replicas.replicas import Decoder, Encoder


@cache
def _packaged():
    """The packaged settings, which take longer to read than a request does."""
    return configuration.load(ServeConfig, None, DEFAULT_FILE).model_dump()


def serve_config(**settings):
    """The packaged settings but for these."""
    return configuration.parse(ServeConfig, _packaged() | settings, DEFAULT_FILE)


def handle(**methods):
    """What a deployment's handle is to those who call these methods of it."""
    found = SimpleNamespace(**{name: SimpleNamespace(remote=method) for name, method in methods.items()})
    found.options = lambda **_options: found
    return found


async def is_ready():
    """A replica's answer to whether it is there."""
    return True


def make_replicas(registry, version, max_payload_bytes=100_000, aim=DEFAULT_AIM):
    """(encoder, decoder). They set the engine of this process."""
    limits = DecoderLimits(max_payload_bytes=max_payload_bytes, max_loaded_versions=2)
    encoder = Encoder(registry, version, Engine(), BatchConfig(), aim)
    return encoder, Decoder(registry, version, Engine(), BatchConfig(), limits)


def make_ingress(registry, version, encode, decode, ready=is_ready, **settings):
    """The ingress, with the packaged settings but for these, in front of replicas that encode and decode so."""
    encoder = handle(encode=encode, ready=ready)
    encoders = SimpleNamespace(of=lambda _version: encoder)
    return Ingress(serve_config(**settings), registry, version, encoders, handle(decode=decode, ready=ready))


class Context:
    """What Serve hands to a gRPC method of its context."""

    def __init__(self, metadata):
        self._metadata = metadata
        self.status, self.details, self.trailing = grpc.StatusCode.OK, "", {}

    def invocation_metadata(self):
        return self._metadata

    def set_code(self, status):
        self.status = status

    def set_details(self, details):
        self.details = details

    def set_trailing_metadata(self, metadata):
        self.trailing = dict(metadata)
