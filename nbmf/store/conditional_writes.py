"""Conditional writes on object stores: what pyarrow.fs cannot ask for, by the package obstore where it is installed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict, cast
from urllib.parse import parse_qs, unquote, urlsplit


class Tag(TypedDict, total=False):
    """What another write of an object changes."""

    e_tag: str
    version: str


_SCHEMES = frozenset({"s3", "gs", "gcs"})
_CREDENTIALS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables of the environment that say where to find credentials for S3, to pyarrow and obstore alike."""


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
    """Bucket, folder, region and credentials are those that pyarrow takes; None where obstore would not find them."""
    parts = urlsplit(uri)
    if parts.scheme not in _SCHEMES or find_spec("obstore") is None:
        return None
    import pyarrow.fs as pafs
    from obstore.store import GCSStore, S3Store

    filesystem, path = pafs.FileSystem.from_uri(uri)
    bucket, _, prefix = path.strip("/").partition("/")
    if parts.scheme != "s3":
        return GCSStore(bucket, prefix=prefix or None) if not (parts.query or parts.username) else None
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    options: dict[str, Any] = {"region": filesystem.region}
    if "endpoint_override" in query:
        scheme, _, host = query["endpoint_override"].rpartition("://")
        options["endpoint"] = f"{scheme or query.get('scheme', 'https')}://{host}"
    if parts.username:
        options["access_key_id"] = unquote(parts.username)
        options["secret_access_key"] = unquote(parts.password or "")
    elif _are_in_a_profile():
        if find_spec("boto3") is None:
            return None
        from obstore.auth.boto3 import Boto3CredentialProvider

        options["credential_provider"] = Boto3CredentialProvider()
    return S3Store(bucket, prefix=prefix or None, client_options={"allow_http": True}, **options)


def _are_in_a_profile() -> bool:
    """Whether credentials for S3 are in the files of AWS's own tools, which obstore does not read."""
    if any(name in os.environ for name in _CREDENTIALS):
        return False
    files = (
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"),
    )
    return "AWS_PROFILE" in os.environ or any(Path(file).expanduser().is_file() for file in files)
