"""Conditional writes on object stores: what pyarrow.fs cannot ask for, by the package obstore where it is installed."""

from __future__ import annotations

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


def create_object(uri: str, name: str, content: bytes) -> bool | None:
    """Makes an object below a URI unless it is there: False if it is. None where the condition cannot be asked for.

    Raises OSError.
    """
    store = _store(uri)
    if store is None:
        return None
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError

    try:
        obstore.put(store, name, content, mode="create")
    except AlreadyExistsError:
        return False
    except (NotSupportedError, NotImplementedError):
        return None
    except BaseError as error:
        raise OSError(str(error)) from error
    return True


def read_object(uri: str, name: str) -> tuple[bytes, Tag] | None:
    """An object's content and its tag; None if it is not there. Raises OSError."""
    import obstore
    from obstore.exceptions import BaseError

    store = _store(uri)
    try:
        found = obstore.get(store, name)
        tag: Tag = {}
        if e_tag := found.meta["e_tag"]:
            tag["e_tag"] = e_tag
        if version := found.meta["version"]:
            tag["version"] = version
        return bytes(found.bytes()), tag
    except FileNotFoundError:
        return None
    except BaseError as error:
        raise OSError(str(error)) from error


def replace_object(uri: str, name: str, content: bytes, tag: Tag) -> None:
    """Replaces an object that still has this tag. Raises WrittenMeanwhile, OSError."""
    import obstore
    from obstore.exceptions import BaseError, PreconditionError

    try:
        obstore.put(_store(uri), name, content, mode=cast(Any, tag))
    except (PreconditionError, FileNotFoundError) as error:
        raise WrittenMeanwhile(f"{name} was written by another") from error
    except BaseError as error:
        raise OSError(str(error)) from error


def has_conditions(uri: str) -> bool:
    """Whether writes at a URI can be conditional: of a store that knows them, with obstore installed."""
    return _store(uri) is not None


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
