"""gRPC clients for the running service, and its methods in this process."""

import asyncio
from types import SimpleNamespace

import grpc
import pytest

from serve_app.deploy import APPLICATION
from serve_app.grpc.nbmf_pb2_grpc import CodecStub


class NamesApplication(grpc.UnaryUnaryClientInterceptor):
    """Calls name the application, unless they name another: other tests may run a second one meanwhile."""

    def intercept_unary_unary(self, continuation, client_call_details, request):
        metadata = list(client_call_details.metadata or [])
        if "application" not in dict(metadata):
            metadata.append(("application", APPLICATION))
        return continuation(client_call_details._replace(metadata=metadata), request)


@pytest.fixture(scope="module")
def stub(service):
    with grpc.insecure_channel(service.grpc_address) as channel:
        yield CodecStub(grpc.intercept_channel(channel, NamesApplication()))


class Context:
    """What Serve hands to a method of its context."""

    def __init__(self, **metadata):
        self._metadata = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        self.status, self.details, self.trailing = grpc.StatusCode.OK, "", {}

    def invocation_metadata(self):
        return self._metadata

    def set_code(self, status):
        self.status = status

    def set_details(self, details):
        self.details = details

    def set_trailing_metadata(self, metadata):
        self.trailing = dict(metadata)


@pytest.fixture
def call(in_process):
    """A function: one call of a method of the service in this process; (answer, context)."""

    def make(method, request, settings=None, replicas=None, **metadata):
        context = Context(**metadata)
        ingress = in_process(**(replicas or {}), **(settings or {})).ingress
        answer = asyncio.run(getattr(ingress, method)(request, context))
        return SimpleNamespace(answer=answer, context=context)

    return make
