"""The HTTP ingress: reads and bounds bodies, hands bytes to encoder and decoder, writes answers.

Whatever a client sends is answered with a 4xx and a reason that a program can read; a 500 is a fault of the coder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException

from cluster.registry import Registry
from cluster.wire import BadWire
from nbmf.codec import Effort, inspect
from nbmf.errors import NbmfError
from nbmf.payload import Kind
from nbmf.version import __version__
from serve_app import bodies, schemas
from serve_app.bodies import JSON, OCTETS, BatchTooLarge, BodyTooLarge, UnsupportedMediaType
from serve_app.config import ServeConfig
from serve_app.results import Failure, attempt_each

_HEALTH_TIMEOUT_S = 5
_RETRY_AFTER_S = "1"


class Ingress:
    """Routes of the service."""

    def __init__(
        self, config: ServeConfig, registry: str, encoder: DeploymentHandle[Any], decoder: DeploymentHandle[Any]
    ) -> None:
        self._config = config
        self._registry = Registry(registry)
        self._encoder = encoder
        self._decoder = decoder

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The routes, bound to this replica."""
        api = FastAPI(
            title="nbmf",
            version=__version__,
            description="Encode and decode records of agents' memory. Errors are `{error: {code, message}}`.",
        )
        post: dict[str, Any] = {"methods": ["POST"], "responses": schemas.ERRORS}
        unhealthy: dict[int | str, dict[str, Any]] = {503: {"model": schemas.Error}}
        api.add_api_route(
            "/v1/encode", self.encode, **post, response_model=schemas.Encoded, openapi_extra=schemas.ENCODE
        )
        api.add_api_route(
            "/v1/decode", self.decode, **post, response_model=schemas.Decoded, openapi_extra=schemas.DECODE
        )
        api.add_api_route(
            "/v1/versions", self.versions, response_model=schemas.Versions, response_model_exclude_unset=True
        )
        api.add_api_route("/healthz", self.healthz, response_model=schemas.Health, responses=unhealthy)
        api.add_exception_handler(NbmfError, _on_error)
        api.add_exception_handler(BackPressureError, _on_overload)
        api.add_exception_handler(RequestValidationError, _on_bad_parameters)
        api.add_exception_handler(HTTPException, _on_no_route)
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
    ) -> Response:
        """Encode a record, or a batch of them. A batch answers 200 with a result or an error for each record."""
        limit = self._config.max_payload_bytes
        asked = self._config.effort_of(effort, latency_budget_ms)
        media_type, body = await self._body(request)
        if media_type == OCTETS:

            def record(data: bytes) -> tuple[int, bytes]:
                return bodies.record_from_octets(data, kind, limit)

            if batch:
                items = list(bodies.split_batch(body, self._config.max_batch_records))
                blobs = await self._encode_each(record, items, asked)
                return _octets(bodies.join_batch([b if isinstance(b, Failure) else (_kind(b), b) for b in blobs]))
            (blob,) = await self._encode_each(record, [body], asked)
            if isinstance(blob, Failure):
                return _failed(blob)
            info = inspect(blob)
            return _octets(blob, {"X-Nbmf-Kind": info.kind, "X-Nbmf-Coder": info.coder})

        def from_json(fields: Any) -> tuple[int, bytes]:
            return bodies.record_from_json(fields, limit)

        fields = bodies.parse_object(body)
        if "records" in fields:
            blobs = await self._encode_each(from_json, self._batch(fields, "records"), asked)
            return _json(bodies.dump({"results": [_result(blob, _encoded) for blob in blobs]}))
        (blob,) = await self._encode_each(from_json, [fields], asked)
        return _failed(blob) if isinstance(blob, Failure) else _json(bodies.dump(_encoded(blob)))

    async def decode(
        self,
        request: Request,
        batch: Annotated[bool, Query(description="octets: a batch of length-prefixed blobs")] = False,
    ) -> Response:
        """Decode a blob, or a batch of them, of any registered codec version."""
        media_type, body = await self._body(request)
        if media_type == OCTETS:
            if batch:
                items = list(bodies.split_batch(body, self._config.max_batch_records))
                results = await self._decode_each(bytes, items)
                return _octets(
                    bodies.join_batch([r if isinstance(r, Failure) else (r[0], _octets_of(r)) for r in results])
                )
            (result,) = await self._decode_each(bytes, [body])
            if isinstance(result, Failure):
                return _failed(result)
            kind = Kind(result[0])
            return Response(_octets_of(result), 200, {"X-Nbmf-Kind": kind.label}, bodies.MEDIA_TYPES[kind])
        fields = bodies.parse_object(body)
        if "blobs" in fields:
            results = await self._decode_each(bodies.blob_from_json, self._batch(fields, "blobs"))
            parts = [
                bodies.dump({"error": bodies.failure_fields(r)}) if isinstance(r, Failure) else _decoded(r)
                for r in results
            ]
            return _json(b'{"results":[' + b",".join(parts) + b"]}")
        if fields.keys() != {"blob"}:
            raise BadWire("a body has `blob`, or `blobs` for a batch, and nothing else")
        (result,) = await self._decode_each(bodies.blob_from_json, [fields["blob"]])
        return _failed(result) if isinstance(result, Failure) else _json(_decoded(result))

    async def versions(self) -> Any:
        """Codec versions in the registry. One that cannot be used has an error in place of what it is."""
        return await asyncio.to_thread(self._versions)

    def _versions(self) -> dict[str, Any]:
        channels = self._registry.channels()
        rows = []
        for version_id, manifest in self._registry.manifests():
            row: dict[str, Any] = {
                "id": version_id,
                "channels": [c for c in ("stable", "candidate") if getattr(channels, c) == version_id],
            }
            if isinstance(manifest, NbmfError):
                row["error"] = {"code": manifest.code, "message": str(manifest)}
            else:
                row |= {
                    "name": manifest.name,
                    "created_at": manifest.created_at,
                    "architecture": manifest.architecture,
                    "measured": manifest.measured.get("all", {}),
                }
            rows.append(row)
        return {"versions": rows}

    async def healthz(self) -> Any:
        """200 when encoder and decoder answer, 503 when one does not."""
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                await asyncio.gather(self._encoder.ready.remote(), self._decoder.ready.remote())
        except Exception as error:
            return _failed(Failure("unavailable", f"a deployment does not answer: {type(error).__name__}"))
        return {"status": "ok"}

    async def _body(self, request: Request) -> tuple[str, bytes]:
        """(media type, body), counted while it arrives. Raises UnsupportedMediaType, BodyTooLarge."""
        media_type = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if media_type not in (JSON, OCTETS):
            raise UnsupportedMediaType(f"send {JSON} or {OCTETS}, not {media_type!r}")
        limit = self._config.max_body_bytes
        too_large = BodyTooLarge(f"the body is over {limit} bytes")
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
        return media_type, bytes(body)

    def _batch(self, fields: dict[str, Any], name: str) -> list[Any]:
        items = fields[name]
        if fields.keys() != {name} or type(items) is not list:
            raise BadWire(f"a batch has `{name}`, a list, and nothing else")
        if len(items) > self._config.max_batch_records:
            raise BatchTooLarge(f"{len(items)} records; the server takes {self._config.max_batch_records} at a time")
        return items

    async def _encode_each(
        self, read: Callable[[Any], tuple[int, bytes]], items: list[Any], asked: tuple[Effort, float]
    ) -> list[bytes | Failure]:
        return await _each(read, items, lambda records: self._encoder.encode.remote(records, *asked))

    async def _decode_each(self, read: Callable[[Any], bytes], items: list[Any]) -> list[tuple[int, bytes] | Failure]:
        return await _each(read, items, self._decoder.decode.remote)


async def _each(
    read: Callable[[Any], Any], items: list[Any], work: Callable[[list[Any]], Awaitable[list[Any]]]
) -> list[Any]:
    """Reads the items, gives those that could be read to `work` in one call, and returns results in order."""
    results: list[Any] = attempt_each(read, items)
    good = [index for index, result in enumerate(results) if not isinstance(result, Failure)]
    if good:
        for index, done in zip(good, await work([results[index] for index in good]), strict=True):
            results[index] = done
    return results


async def _on_error(_request: Request, error: Exception) -> Response:
    return _failed(Failure(getattr(error, "code", "bad_request"), str(error)))


async def _on_overload(_request: Request, _error: Exception) -> Response:
    return _failed(Failure("unavailable", "the server has more requests than it can queue; try again later"))


async def _on_no_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    content = {"error": {"code": code, "message": str(error.detail)}}
    return JSONResponse(content, error.status_code, error.headers)


async def _on_bad_parameters(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return _failed(Failure("bad_request", problems))


def _encoded(blob: bytes) -> dict[str, Any]:
    return bodies.encoded_fields(blob, inspect(blob))


def _decoded(result: tuple[int, bytes]) -> bytes:
    return bodies.decoded_json(Kind(result[0]), result[1])


def _octets_of(result: tuple[int, bytes]) -> bytes:
    return bodies.decoded_octets(Kind(result[0]), result[1])


def _kind(blob: bytes) -> int:
    return Kind[inspect(blob).kind.upper()]


def _result(result: bytes | Failure, fields: Callable[[bytes], dict[str, Any]]) -> dict[str, Any]:
    return {"error": bodies.failure_fields(result)} if isinstance(result, Failure) else fields(result)


def _json(content: bytes) -> Response:
    return Response(content, media_type=JSON)


def _octets(content: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(content, 200, headers, OCTETS)


def _failed(failure: Failure) -> Response:
    headers = {"Retry-After": _RETRY_AFTER_S} if failure.status == 503 else None
    # ASCII: a message may quote a lone surrogate.
    content = {
        "error": {k: v.encode("utf-8", "backslashreplace").decode() for k, v in bodies.failure_fields(failure).items()}
    }
    return JSONResponse(content, failure.status, headers)
