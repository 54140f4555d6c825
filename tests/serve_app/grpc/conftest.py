"""gRPC clients for the running service, and its methods in this process."""

import asyncio
from types import SimpleNamespace

import grpc
import pytest
from in_process import Context

from serve_app.deploy.deploy import APPLICATION
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


@pytest.fixture
def call(in_process):
    """A function: one call of a method of the service in this process; (answer, context)."""

    def make(method, request, settings=None, replicas=None, **metadata):
        context = Context([(name.replace("_", "-"), value) for name, value in metadata.items()])
        ingress = in_process(**(replicas or {}), **(settings or {})).ingress
        answer = asyncio.run(getattr(ingress, method)(request, context))
        return SimpleNamespace(answer=answer, context=context)

    return make
