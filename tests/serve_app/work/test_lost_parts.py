"""A part that is lost with a call costs a second try, or a 503 that says when to come back; never a 500."""

import asyncio
import math
import time
from types import SimpleNamespace

import grpc
import pytest
from ray import exceptions as of_ray
from ray.serve import exceptions as of_serve
from ray.serve._private.common import DeploymentID

from nbmf.effort import EffortSetting
from nbmf.errors import PayloadTooLarge
from nbmf.vectors.changed import Coded
from serve_app.reading.items import ToEncode
from serve_app.rollout.split import keyed_record
from serve_app.rollout.traffic import Traffic
from serve_app.routing.replica_calls import call
from serve_app.work.deadlines import DeadlineExceeded
from serve_app.work.lost_parts import is_lost
from serve_app.work.results import Failure, RequestFailed, fault_of


def rpc_error(code):
    metadata = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, metadata, metadata, "a detail")


def of_task(cause):
    """As Ray raises what a replica's method raised."""
    return of_ray.RayTaskError("decode", "a traceback", cause).as_instanceof_cause()


LOST = [
    of_ray.ActorDiedError(),
    of_ray.ActorUnavailableError("away", b"1" * 16),
    of_ray.RayActorError(),
    of_ray.WorkerCrashedError(),
    of_ray.LocalRayletDiedError(),
    of_ray.NodeDiedError("gone"),
    of_ray.RaySystemError("the head is away"),
    of_ray.GetTimeoutError("late"),
    of_ray.OutOfMemoryError("killed"),
    of_ray.ObjectLostError("1" * 56, None, ""),
    of_ray.TaskCancelledError(),
    of_serve.ReplicaUnavailableError("replica-1"),
    of_serve.RequestCancelledError("request-1"),
    of_serve.RayServeException("an upstream actor died"),
    *(rpc_error(code) for code in grpc.StatusCode if code is not grpc.StatusCode.OK),
    grpc.aio.UsageError("Channel is closed."),
    RuntimeError("Unexpected error (StatusCode.UNKNOWN): stream removed."),
    RuntimeError("cannot schedule new futures after shutdown"),
    RuntimeError("cannot schedule new futures after interpreter shutdown"),
    ConnectionResetError("reset"),
    TimeoutError(),
    of_task(of_ray.ActorDiedError()),
    asyncio.CancelledError(),
]
FAULTS = [
    ValueError("a fault"),
    RuntimeError("a fault"),
    KeyError("a fault"),
    of_task(ValueError("a fault")),
    of_serve.gRPCStatusError(ValueError("a fault")),
]


class Replicas:
    """A method of a handle: each call ends as the next of `ends` says, and then as the last one."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.calls = 0

    async def remote(self, *arguments):
        end = self.ends[min(self.calls, len(self.ends) - 1)]
        self.calls += 1
        if isinstance(end, BaseException):
            raise end
        return end, *arguments


def called(replicas, deadline=math.inf):
    return asyncio.run(call(replicas, "records", deadline=deadline))


@pytest.mark.parametrize("error", LOST, ids=repr)
def test_the_call_is_made_once_more(error):
    replicas = Replicas(error, "done")
    assert called(replicas) == ("done", "records")
    assert replicas.calls == 2


@pytest.mark.parametrize("error", LOST, ids=repr)
def test_and_not_a_third_time(error):
    replicas = Replicas(error)
    with pytest.raises(RequestFailed) as failed:
        called(replicas)
    assert (failed.value.failure.status, failed.value.failure.code) == (503, "unavailable")
    assert replicas.calls == 2


@pytest.mark.parametrize("error", FAULTS, ids=repr)
def test_a_fault_of_the_program_stays_one(error):
    replicas = Replicas(error, "done")
    with pytest.raises(type(error)):
        called(replicas)
    assert replicas.calls == 1
    assert fault_of("id", error).status == 500


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (of_serve.BackPressureError(1, 1), 429),
        (of_serve.DeploymentUnavailableError(DeploymentID("Decoder", "nbmf")), 503),
    ],
)
def test_what_a_second_try_would_not_help(error, status):
    replicas = Replicas(error)
    with pytest.raises(RequestFailed) as failed:
        called(replicas)
    assert failed.value.failure.status == status
    assert replicas.calls == 1


@pytest.mark.parametrize("error", [PayloadTooLarge("too large"), DeadlineExceeded()], ids=repr)
def test_errors_of_the_request_are_passed_on(error):
    replicas = Replicas(error)
    with pytest.raises(type(error)):
        called(replicas)
    assert replicas.calls == 1


def test_one_who_hangs_up_is_not_called_for_again():
    async def hang_up():
        started = asyncio.Event()
        calls = []

        async def remote():
            calls.append(1)
            started.set()
            await asyncio.sleep(60)

        task = asyncio.create_task(call(SimpleNamespace(remote=remote), deadline=math.inf))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(calls)

    assert asyncio.run(hang_up()) == 1


def test_the_second_try_has_the_same_deadline():
    async def remote():
        await asyncio.sleep(0.2)
        raise of_ray.ActorDiedError

    with pytest.raises(DeadlineExceeded):
        asyncio.run(call(SimpleNamespace(remote=remote), deadline=time.time() + 0.3))


@pytest.mark.parametrize("error", [e for e in LOST if isinstance(e, Exception)], ids=repr)
def test_lost_anywhere_else(error):
    assert fault_of("id", error).status == 503


def test_every_error_of_ray_and_serve_is_known():
    """A new one of a new Ray must be looked at: here, all that are not a program's are a lost part."""
    known = {cls for cls in vars(of_ray).values() if isinstance(cls, type) and issubclass(cls, of_ray.RayError)}
    known |= {cls for cls in vars(of_serve).values() if isinstance(cls, type) and cls.__module__ == of_serve.__name__}
    known -= {of_serve.gRPCStatusError, of_ray.RayTaskError}  # envelopes
    assert {cls.__name__ for cls in known if not is_lost(cls.__new__(cls))} == {
        "CrossLanguageError",
        "OufOfBandObjectRefSerializationException",
        "UnserializableException",
        "UserCodeException",
    }


@pytest.mark.parametrize("path", ["/v1/encode", "/v1/decode"])
@pytest.mark.parametrize(("error", "status"), [(of_ray.ActorDiedError(), 503), (ValueError("a secret"), 500)])
def test_what_a_client_sees(in_process, path, error, status):
    replicas = Replicas(error)
    service = in_process(encode=replicas.remote, decode=replicas.remote)
    fields = {"payload": "text"} if path == "/v1/encode" else {"blob": "smhpIQAAAA=="}
    answer = service("POST", path, json=fields)
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == ("unavailable" if status == 503 else "internal_error")
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "secret" not in answer.text


def test_an_encoder_that_cannot_be_found_in_time(in_process):
    service = in_process()

    def of(_version):
        time.sleep(0.5)
        raise of_ray.RayActorError

    service.ingress._service._traffic._encoders = SimpleNamespace(of=of)
    answer = service("POST", "/v1/encode", json={"payload": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    late = service("POST", "/v1/encode", json={"payload": 1}, headers={"X-Request-Timeout-Ms": "100"})
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")


def test_a_search_that_outlasts_a_request_is_of_use_to_the_next(tmp_path):
    searches = []

    async def encode(*_):
        return [Coded(b"blob")]

    def of(_version):
        searches.append(1)
        time.sleep(0.3)
        return SimpleNamespace(encode=SimpleNamespace(remote=encode))

    async def ask():
        traffic = Traffic(str(tmp_path), "none", SimpleNamespace(of=of), None)
        records = [keyed_record(ToEncode(0, b"text"), None)]
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await traffic.encode(records, EffortSetting("auto", 1.0), time.time() + 0.05)
        return await traffic.encode(records, EffortSetting("auto", 1.0), time.time() + 60)

    assert asyncio.run(ask()) == [Coded(b"blob")]
    assert len(searches) == 1


def test_a_failure_of_the_whole_call_is_one():
    async def remote():
        return Failure("overloaded", "busy")

    with pytest.raises(RequestFailed, match="busy"):
        asyncio.run(call(SimpleNamespace(remote=remote), deadline=math.inf))
