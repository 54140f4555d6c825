"""Conditional writes on object stores: what pyarrow.fs cannot ask for, by the package obstore where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, TypedDict, cast
from urllib.parse import parse_qs, urlsplit


class Tag(TypedDict, total=False):
    """What another write of an object changes."""

    e_tag: str
    version: str


_SCHEMES = frozenset({"s3", "gs", "gcs"})


class WrittenMeanwhile(OSError):
    """Another wrote the object since it was read."""


def has_conditions(uri: str) -> bool:
    """Whether writes at a URI can be conditional: of a store that knows them, with obstore installed."""
    return _store(uri) is not None


def read_object(uri: str, name: str) -> tuple[bytes, Tag] | None:
    """An object's content and its tag; None if it is not there. Raises OSError."""
    import obstore
    from obstore.exceptions import BaseError

    try:
        found = obstore.get(_store(uri), name)
        return bytes(found.bytes()), _tag(found.meta)
    except FileNotFoundError:
        return None
    except BaseError as error:
        raise OSError(str(error)) from error


def write_object(uri: str, name: str, content: bytes, seen: Tag | None) -> Tag:
    """Writes an object that still has the tag that was seen, or with None one that is not there. Its new tag.

    Raises WrittenMeanwhile if another wrote it, OSError.
    """
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        return _tag(obstore.put(_store(uri), name, content, mode="create" if seen is None else cast(Any, seen)))
    except (AlreadyExistsError, PreconditionError, FileNotFoundError) as error:
        # A request that is made again, as its answer was lost, finds what it wrote itself.
        if (now := read_object(uri, name)) is not None and now[0] == content:
            return now[1]
        raise WrittenMeanwhile(f"{name} was written by another") from error
    except BaseError as error:
        raise OSError(str(error)) from error


def _tag(meta: Mapping[str, Any]) -> Tag:
    return cast(Tag, {name: meta[name] for name in Tag.__annotations__ if meta.get(name)})


@lru_cache(maxsize=16)
def _store(uri: str) -> Any:
    """With the same place and credentials as pyarrow reads from the URI: in its query, or the environment's."""
    parts = urlsplit(uri)
    if parts.scheme not in _SCHEMES or find_spec("obstore") is None:
        return None
    from obstore.store import GCSStore, S3Store

    bucket = parts.netloc.rpartition("@")[2].partition(":")[0]
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    prefix = parts.path.strip("/") or None
    if parts.scheme != "s3":
        return GCSStore(bucket, prefix=prefix)
    options: dict[str, Any] = {}
    scheme = query.get("scheme", "https")
    if "endpoint_override" in query:
        options["endpoint"] = f"{scheme}://{query['endpoint_override'].rpartition('://')[2]}"
    if "region" in query:
        options["region"] = query["region"]
    if parts.username:
        options |= {"access_key_id": parts.username, "secret_access_key": parts.password}
    return S3Store(bucket, prefix=prefix, client_options={"allow_http": True}, **options)
