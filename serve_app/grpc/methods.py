"""The service's gRPC methods, which Serve calls by name on the ingress: the same service as HTTP's, other messages."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message
from ray.serve.grpc_util import RayServegRPCContext

from nbmf.errors import NbmfError
from nbmf.wire import BadWire
from serve_app.admission.api_keys import Authenticator
from serve_app.admission.incoming import BodyTooLarge
from serve_app.config import Role, ServeConfig
from serve_app.grpc import messages, statuses
from serve_app.grpc import nbmf_pb2 as pb
from serve_app.grpc.registration import TIMEOUT_MS, Unparseable
from serve_app.held_blobs import HeldBlobs
from serve_app.observe import request_ids, request_lines
from serve_app.observe.calls import Call
from serve_app.observe.metrics import service_metrics
from serve_app.reading.items import check_count, records_of_utf8
from serve_app.reading.reader import Reader
from serve_app.rollout.split import Keyed
from serve_app.service import CodecService, Encoded
from serve_app.work.deadlines import deadline_of
from serve_app.work.off_loop import off_loop
from serve_app.work.results import Failure, RequestFailed, attempt_each, fault_of

A = TypeVar("A", bound=Message)

_ROUTE = f"/{pb.DESCRIPTOR.services_by_name['Codec'].full_name}/"


class GrpcMethods:
    """Methods of nbmf.proto. Whatever a client sends ends with a status and a code that a program can read."""

    _config: ServeConfig
    _reader: Reader
    _service: CodecService
    _held_blobs: HeldBlobs
    _authenticator: Authenticator

    async def Encode(self, request: pb.EncodeRequest, grpc_context: RayServegRPCContext) -> pb.Encoded:  # noqa: N802
        """Encode a record."""
        return await self._answer("Encode", request, grpc_context, ("encode",), self._grpc_encode, pb.Encoded)

    async def EncodeBatch(  # noqa: N802
        self, request: pb.EncodeBatchRequest, grpc_context: RayServegRPCContext
    ) -> pb.EncodeBatchResponse:
        """Encode a batch."""
        return await self._answer(
            "EncodeBatch", request, grpc_context, ("encode",), self._grpc_encode_batch, pb.EncodeBatchResponse
        )

    async def Decode(self, request: pb.DecodeRequest, grpc_context: RayServegRPCContext) -> pb.Decoded:  # noqa: N802
        """Decode a blob."""
        return await self._answer("Decode", request, grpc_context, ("decode",), self._grpc_decode, pb.Decoded)

    async def DecodeBatch(  # noqa: N802
        self, request: pb.DecodeBatchRequest, grpc_context: RayServegRPCContext
    ) -> pb.DecodeBatchResponse:
        """Decode a batch."""
        return await self._answer(
            "DecodeBatch", request, grpc_context, ("decode",), self._grpc_decode_batch, pb.DecodeBatchResponse
        )

    async def Versions(  # noqa: N802
        self, request: pb.VersionsRequest, grpc_context: RayServegRPCContext
    ) -> pb.VersionsResponse:
        """Codec versions in the registry."""
        roles: tuple[Role, ...] = ("encode", "decode", "admin")
        return await self._answer("Versions", request, grpc_context, roles, self._grpc_versions, pb.VersionsResponse)

    async def _grpc_encode(self, call: Call, request: pb.EncodeRequest) -> pb.Encoded:
        (blob,) = await self._grpc_encode_each(call, [request.record], request.options)
        if isinstance(blob, Failure):
            raise RequestFailed(blob)
        return messages.encoded_message(blob)

    async def _grpc_encode_batch(self, call: Call, request: pb.EncodeBatchRequest) -> pb.EncodeBatchResponse:
        blobs = await self._grpc_encode_each(call, request.records, request.options)
        result = pb.EncodeBatchResponse.Result
        return pb.EncodeBatchResponse(
            results=[
                result(failure=messages.failure_message(blob))
                if isinstance(blob, Failure)
                else result(encoded=messages.encoded_message(blob))
                for blob in blobs
            ]
        )

    async def _grpc_encode_each(
        self, call: Call, records: Sequence[pb.Record], options: pb.EncodeOptions
    ) -> list[Encoded | Failure]:
        effort = self._config.effort_of(*messages.options_of(options))
        check_count(len(records), self._config.max_batch_records)
        texts = {index: text for index, record in enumerate(records) if (text := messages.json_of(record)) is not None}
        _, read = await self._reader.read(records_of_utf8, list(texts.values()), deadline=call.deadline)
        parsed = dict(zip(texts, read, strict=True))

        def keyed(index: int) -> Keyed | Failure:
            return messages.keyed_of(records[index], parsed.get(index), self._config.max_payload_bytes)

        items = await off_loop(call.bytes_in, attempt_each, keyed, range(len(records)))
        return await self._service.encode(call, items, effort)

    async def _grpc_decode(self, call: Call, request: pb.DecodeRequest) -> pb.Decoded:
        (result,) = await self._held_blobs.of_octets(call, [request.blob])
        if isinstance(result, Failure):
            raise RequestFailed(result)
        return messages.decoded_message(result)

    async def _grpc_decode_batch(self, call: Call, request: pb.DecodeBatchRequest) -> pb.DecodeBatchResponse:
        results = await self._held_blobs.of_octets(call, list(request.blobs))
        message = pb.DecodeBatchResponse.Result
        return pb.DecodeBatchResponse(
            results=[
                message(failure=messages.failure_message(result))
                if isinstance(result, Failure)
                else message(decoded=messages.decoded_message(result))
                for result in results
            ]
        )

    async def _grpc_versions(self, call: Call, request: pb.VersionsRequest) -> pb.VersionsResponse:
        rows = (await self._service.versions())["versions"]
        return pb.VersionsResponse(versions=[messages.version_message(row) for row in rows])

    async def _answer(
        self,
        method: str,
        request: Any,
        context: RayServegRPCContext,
        roles: Sequence[Role],
        work: Callable[[Call, Any], Awaitable[A]],
        empty: Callable[[], A],
    ) -> A:
        """What `work` gives for an authorized request within the limits; an empty message with the failure's status.

        Failures are not raised: Serve would write their messages, which may quote a record, to its log.
        """
        metadata = dict(context.invocation_metadata())
        call = Call(request_ids.request_id(metadata.get(statuses.REQUEST_ID)), time.time(), bytes_in=request.ByteSize())
        started = time.perf_counter()
        answer, failure = empty(), None
        try:
            try:
                self._admit(call, metadata, roles)
                if isinstance(request, Unparseable):
                    raise BadWire(f"the message of {request.size_bytes} bytes is none of {method}'s")
                messages.check_known(request)
                answer = await work(call, request)
            except RequestFailed as error:
                failure = error.failure
            except NbmfError as error:
                failure = Failure(error.code, str(error))
            except Exception as error:
                failure = fault_of(call.request_id, error)
            statuses.end(context, call, failure)
            call.bytes_out = answer.ByteSize()
        except CancelledError:
            call.code = "cancelled"
            raise
        finally:
            duration_s = time.perf_counter() - started
            service_metrics().request(call, _ROUTE + method, duration_s)
            if self._config.access_log:
                request_lines.write(call, "gRPC", _ROUTE + method, duration_s)
        return answer

    def _admit(self, call: Call, metadata: dict[str, str], roles: Sequence[Role]) -> None:
        """Raises Unauthorized, Forbidden, BodyTooLarge, BadWire; sets the call's deadline."""
        scheme, _, bearer = metadata.get("authorization", "").partition(" ")
        presented = bearer if scheme.lower() == "bearer" and bearer else metadata.get("x-api-key")
        self._authenticator.authorize(call, presented, roles)
        if call.bytes_in > self._config.max_body_bytes:
            raise BodyTooLarge(f"the message is over {self._config.max_body_bytes} bytes")
        asked = metadata.get(TIMEOUT_MS)
        if asked is not None and not (asked.isascii() and asked.isdigit() and asked.strip("0")):
            raise BadWire(f"{TIMEOUT_MS} is a positive number")
        asked_ms = None if asked is None else int(asked.lstrip("0")[:15])
        call.deadline = deadline_of(call.arrived, asked_ms, self._config.request_timeout_s)
