"""The HTTP ingress: reads and bounds bodies, hands bytes to encoder and decoder, writes answers.

Whatever a client sends is answered with a 4xx and a reason that a program can read; a 500 is a fault of the service.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.routing import APIRoute
from ray.serve.handle import DeploymentHandle

from cluster.registry import Registry
from nbmf import protocol
from nbmf.effort import Effort
from nbmf.payload import Fidelity, Kind
from nbmf.version import __version__
from nbmf.wire import dump
from serve_app.admission.api_keys import Authenticator
from serve_app.admission.incoming import IncomingBodies
from serve_app.admission.origins import own_pages_only
from serve_app.admission.relief import Relief
from serve_app.config import ServeConfig
from serve_app.grpc.methods import GrpcMethods
from serve_app.held_blobs import Decoded, HeldBlobs
from serve_app.http import answers, api_page, bodies, console_page, schemas
from serve_app.http.admin import Admin
from serve_app.http.bodies import JSON, OCTETS, UnsupportedMediaType
from serve_app.http.parameters import KNOWN_ONLY, of_octets_only
from serve_app.http.request_log import RequestLog
from serve_app.observe import request_lines
from serve_app.observe.calls import call_of
from serve_app.observe.observer import Observer
from serve_app.observe.recent import RecentReporter
from serve_app.reading.dict_blobs import blobs_of_json
from serve_app.reading.items import Record, records_of_json, records_of_octets, split_batch
from serve_app.reading.reader import Reader
from serve_app.rollout.split import Keyed, keyed_record
from serve_app.rollout.traffic import Traffic
from serve_app.routing.decoders import Decoders
from serve_app.routing.encoders import Encoders
from serve_app.service import CodecService, Encoded
from serve_app.work.deadlines import deadline_of
from serve_app.work.off_loop import off_loop
from serve_app.work.results import Failure, RequestFailed, attempt_each

TimeoutMs: TypeAlias = Annotated[
    int | None,
    Header(
        alias=protocol.TIMEOUT_MS,
        gt=0,
        description="how long the client waits, in milliseconds; no longer than the server's request_timeout_s",
    ),
]


class Ingress(GrpcMethods):
    """Routes and gRPC methods of the service, deployed with a version; with a controller, it follows rollouts."""

    def __init__(
        self,
        config: ServeConfig,
        registry: str,
        version: str,
        encoders: Encoders,
        decoder: DeploymentHandle[Any],
        controller: DeploymentHandle[Any] | None = None,
    ) -> None:
        self._config = config
        traffic = Traffic(
            registry,
            version,
            encoders,
            decoder,
            Observer(RecentReporter.of(controller), config.effort_of(None, None)),
            config.max_payload_bytes,
            config.semantic.least_cosine,
            Relief(config.batch.fast_after_s),
        )
        if controller is not None and config.follows_rollouts:
            traffic.follow(controller)
        decoders = Decoders(
            decoder, lambda: traffic.shares_percent, config.decoded_cache_bytes, config.max_payload_bytes
        )
        self._service = CodecService(config, Registry(registry), traffic, decoders)
        self._reader = Reader(config.bounds, config.max_queued_requests)
        self._held_blobs = HeldBlobs(self._service, self._reader)
        self._incoming = IncomingBodies(config.max_incoming_bodies, config.body_timeout_s)
        self._admin = Admin(config, Registry(registry), version, controller, self._incoming)
        self._authenticator = Authenticator(config.api_keys)
        if config.access_log:
            request_lines.write_to_stderr()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The routes, bound to this replica."""
        api = FastAPI(
            title="nbmf",
            dependencies=own_pages_only(self._config),
            version=__version__,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,  # behind a proxy that ends TLS, to plain HTTP
            description="Encode and decode records of agents' memory. "
            "Errors are `{error: {code, message, request_id}}`.",
        )
        needs = self._authenticator.needs
        api.add_api_route(
            protocol.ENCODE,
            self.encode,
            methods=["POST"],
            dependencies=[*needs("encode"), KNOWN_ONLY],
            response_model=schemas.Encoded | schemas.EncodedBatch,
            responses=schemas.ENCODED,
            openapi_extra=schemas.ENCODE,
        )
        api.add_api_route(
            protocol.DECODE,
            self.decode,
            methods=["POST"],
            dependencies=[*needs("decode"), KNOWN_ONLY],
            response_model=schemas.Decoded | schemas.DecodedBatch,
            responses=schemas.DECODED,
            openapi_extra=schemas.DECODE,
        )
        api.add_api_route(
            protocol.VERSIONS,
            self.versions,
            dependencies=[*needs("encode", "decode", "admin"), KNOWN_ONLY],
            response_model=schemas.Versions,
            response_model_exclude_unset=True,
            responses=schemas.errors(400, 401, 403, 503),
        )
        api.add_api_route(protocol.HEALTH, self.healthz, response_model=schemas.Health, responses=schemas.errors(503))
        self._admin.add_routes(api, self._authenticator)
        console_page.add_routes(api)
        api_page.add_route(api)
        answers.add_handlers(api)
        routes = {route.path for route in api.routes if isinstance(route, APIRoute)}
        api.add_middleware(RequestLog, routes=routes, enabled=self._config.access_log)
        return api

    async def encode(
        self,
        request: Request,
        kind: Annotated[Literal["bytes", "text", "json"], Query(description="what the octets of a body are")] = "bytes",
        batch: Annotated[bool, Query(description="octets: a batch of length-prefixed records")] = False,
        effort: Annotated[
            Effort | None,
            Query(
                description="in place of the server's. max: the smallest blob; fast: without the network, larger and "
                "quicker; auto: the smallest that is decoded within the latency budget"
            ),
        ] = None,
        latency_budget_ms: Annotated[
            float | None,
            Query(
                gt=0,
                allow_inf_nan=False,
                description="longest time to decode a record, in place of the server's; effort is then auto",
            ),
        ] = None,
        key: Annotated[
            str | None,
            Query(description="of the record in its store, or of a batch's that name none: one key, one codec version"),
        ] = None,
        fidelity: Annotated[
            Fidelity | None,
            Query(
                description="of octets, and of JSON records that name none; lossless without it. semantic: vectors may "
                "become near ones, all else is kept"
            ),
        ] = None,
        timeout_ms: TimeoutMs = None,
    ) -> Response:
        """Encode a record, or a batch of them. A batch answers 200 with a result or an error for each record."""
        setting = self._config.effort_of(effort, latency_budget_ms)
        media_type, body = await self._body(request, timeout_ms)
        call = call_of(request)
        if media_type == OCTETS:
            items = list(split_batch(body, self._config.max_batch_records)) if batch else [body]
            _, records = await self._reader.read(
                records_of_octets, items, kind, key, fidelity, deadline=call.deadline, has_json=kind == "json"
            )
            blobs = await self._service.encode(call, _keyed(records), setting)
            if batch:
                return _octets(await off_loop(_size_bytes(blobs), _encoded_batch, blobs))
            (blob,) = blobs
            if isinstance(blob, Failure):
                raise RequestFailed(blob)
            return _octets(blob.blob, bodies.encoded_headers(blob))
        of_octets_only(request, "kind", "batch")
        is_batch, records = await self._reader.read(records_of_json, [body], key, fidelity, deadline=call.deadline)
        blobs = await self._service.encode(call, _keyed(records), setting)
        if is_batch:
            return _json(await off_loop(_size_bytes(blobs), _encoded_results, blobs))
        (blob,) = blobs
        if isinstance(blob, Failure):
            raise RequestFailed(blob)
        return _json(await off_loop(len(blob.blob), _encoded_result, blob))

    async def decode(
        self,
        request: Request,
        batch: Annotated[bool, Query(description="octets: a batch of length-prefixed blobs")] = False,
        timeout_ms: TimeoutMs = None,
    ) -> Response:
        """Decode a blob, or a batch of them, of any registered codec version; dict blobs, those of the stub too."""
        media_type, body = await self._body(request, timeout_ms)
        call = call_of(request)
        if media_type == OCTETS:
            items = list(split_batch(body, self._config.max_batch_records)) if batch else [body]
            results = await self._held_blobs.of_octets(call, items)
            if batch:
                return _octets(await off_loop(_size_bytes(results), _decoded_batch, results))
            (result,) = results
            if isinstance(result, Failure):
                raise RequestFailed(result)
            kind = Kind(result.kind)
            octets = await off_loop(_size_bytes(results), _octets_of, result)
            held = {} if result.form is None else {protocol.OF_A_BLOB + "Dict-Blob": result.form}
            return Response(octets, 200, {protocol.OF_A_BLOB + "Kind": kind.label, **held}, bodies.MEDIA_TYPES[kind])
        of_octets_only(request, "batch")
        is_batch, blobs = await self._reader.read(blobs_of_json, [body], deadline=call.deadline)
        results = await self._held_blobs.decode(call, blobs)
        if is_batch:
            return _json(await off_loop(_size_bytes(results), _decoded_results, results))
        (result,) = results
        if isinstance(result, Failure):
            raise RequestFailed(result)
        return _json(await off_loop(_size_bytes(results), _decoded, result))

    async def versions(self) -> Any:
        """Codec versions in the registry. One that cannot be used has an error in place of what it is."""
        return await self._service.versions()

    async def healthz(self) -> Any:
        """200 when encoder and decoder answer, 503 when one does not."""
        await self._service.check_health()
        return {"status": "ok"}

    async def _body(self, request: Request, timeout_ms: int | None) -> tuple[str, bytes]:
        """(media type, body), counted while it arrives, which it must do before the request's deadline.

        Raises UnsupportedMediaType, BodyTooLarge, SlowBody, Overloaded, DeadlineExceeded.
        """
        media_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if media_type not in (JSON, OCTETS):
            raise UnsupportedMediaType(f"send {JSON} or {OCTETS}, not {media_type!r}")
        charset = bodies.charset_of(request.headers.get("content-type", ""))
        if charset not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType(f"send the body in UTF-8, not {charset!r}")
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        if coding != "identity":
            raise UnsupportedMediaType(f"send the body without Content-Encoding {coding!r}")
        call = call_of(request)
        call.deadline = deadline_of(call.arrived, timeout_ms, self._config.request_timeout_s)
        return media_type, await self._incoming.read(request, self._config.max_body_bytes)


def _size_bytes(results: Sequence[Encoded | Decoded | Failure]) -> int:
    """Of what an answer is made of."""
    return sum(len(r.blob if isinstance(r, Encoded) else r.canonical) for r in results if not isinstance(r, Failure))


def _keyed(records: list[Record | Failure]) -> list[Keyed | Failure]:
    return [r if isinstance(r, Failure) else keyed_record(r.record, r.key) for r in records]


def _encoded(encoded: Encoded) -> dict[str, Any]:
    return bodies.encoded_fields(encoded)


def _encoded_result(encoded: Encoded) -> bytes:
    return dump(_encoded(encoded))


def _encoded_results(blobs: list[Encoded | Failure]) -> bytes:
    rows = [{"error": bodies.failure_fields(b)} if isinstance(b, Failure) else _encoded(b) for b in blobs]
    return dump({"results": rows})


def _encoded_batch(blobs: list[Encoded | Failure]) -> bytes:
    return bodies.join_batch([b if isinstance(b, Failure) else (b.kind, b.blob) for b in blobs])


def _decoded(result: Decoded) -> bytes:
    return bodies.decoded_json(Kind(result.kind), result.canonical, result.form)


def _decoded_results(results: list[Decoded | Failure]) -> bytes:
    parts = [dump({"error": bodies.failure_fields(r)}) if isinstance(r, Failure) else _decoded(r) for r in results]
    return b'{"results":[' + b",".join(parts) + b"]}"


def _decoded_batch(results: list[Decoded | Failure]) -> bytes:
    return bodies.join_batch(attempt_each(lambda result: (result.kind, _octets_of(result)), results))


def _octets_of(result: Decoded) -> bytes:
    return bodies.decoded_octets(Kind(result.kind), result.canonical)


def _json(content: bytes) -> Response:
    return Response(content, media_type=JSON)


def _octets(content: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(content, 200, headers, OCTETS)
