"""Writes and reads the records of a live legacy store."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from nbmf import compat, stub
from nbmf.codec import WITHOUT_VERSION, Codec
from nbmf.encryption import StoreKey, load_key, told
from nbmf.errors import CodecError, NbmfError, UnsupportedPayload
from nbmf.fidelity_policy import FidelityPolicy
from nbmf.payload import Fidelity, Payload, to_canonical
from nbmf.places import local_path
from nbmf.router.alerts import Alert, Alerts
from nbmf.router.coding import ByService, Coding, InProcess, check_same
from nbmf.router.places import Places
from nbmf.router.routing import Mode, Routing
from nbmf.store.errors import AmbiguousKey, KeyRequired
from nbmf.store.record import StoredRecord
from nbmf.wire import dump

if TYPE_CHECKING:
    from nbmf.client.interface import CodecClient

_Blob = dict[str, Any]


class Router:
    """The records of a legacy store (`<root>/records/<key>__<class>.json`), while nbmf takes the stub's place.

    `routing` says what is written, and may be assigned anew at any time; both forms are always read. `policy` has the
    fidelity of classes, for nbmf's form: of the stub's only the lossless one is written, as previews hold no record.
    A version is `codec` (or its folder; the built-in one without), or what the service behind `client` decides. Files
    are encrypted with `key`, or the secret in NBMF_STORE_KEY, if there is one. Every blob is decoded and compared
    before it counts unless `verify` is false. Safe to share between threads, and processes with the same root.

    Where nbmf fails, whatever the fault, the stub's lossless form is written, `counts` tell, and `alert` is called and
    the log of `nbmf.router` warned, once a minute at most.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        routing: Routing | None = None,
        policy: FidelityPolicy | None = None,
        codec: Codec | str | Path | None = None,
        client: CodecClient | None = None,
        key: StoreKey | None = None,
        alert: Callable[[Alert], object] | None = None,
        verify: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if client is not None and codec is not None:
            raise ValueError("a router encodes by a codec or by a client's service, not by both")
        self.routing = routing or Routing()
        self.policy = policy or FidelityPolicy()
        self._key = key or load_key()
        self._places = Places(local_path(root).expanduser().absolute(), self._key)
        self._coding: Coding = InProcess(codec, clock) if client is None else ByService(client)
        self._alerts = Alerts(alert, clock)
        self._verify = verify
        self._lock = Lock()
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """What was done since the router was made; docs/migration.md has the names. What is not there is 0."""
        with self._lock:
            return dict(self._counts)

    def write(
        self,
        key: str,
        record_class: str,
        payload: Payload,
        policy: FidelityPolicy | None = None,
        *,
        meta: Any = None,
    ) -> Mode:
        """The record is on disk, in place of one of that key and class, when this returns: the mode it was written in.

        That is `stub` for one that fell back to it. `policy` counts in place of the router's. Raises UnsupportedPayload
        for what the forms to be written cannot hold, ValueError without a key, KeyRequired where an encrypted record
        would be replaced by a plain one, OSError; the record is then what it was.
        """
        if not key:
            raise ValueError("a record has a key")
        mode = self.routing.mode_of(key, record_class)
        fidelity = (policy or self.policy).of(record_class)
        held = compat.held(payload)
        fields = {"payload": None, "meta": meta, "cls": record_class}
        ours = self._by_nbmf(held, fidelity, key) if mode in ("dual", "read_through") else None
        if mode == "read_through":
            main, copy = ours or _in_need(held), None
        else:
            main, copy = _by_stub(held), ours
        self._places.write(key, record_class, fields | {"payload": main}, copy and fields | {"payload": copy})
        self._count(writes=1, written_copies=int(copy is not None))
        self._count(**{"written_nbmf" if compat.is_dict_blob(main) else "written_stub": 1})
        if mode == "shadow":
            ours = self._by_nbmf(held, fidelity, key)
        elif mode != "stub" and ours is None:
            self._count(fallbacks=1)
            return "stub"
        if ours and main is not ours:
            self._count(bytes_stub=len(dump(main)), bytes_nbmf=len(dump(ours)))
        return mode

    def read(self, key: str, record_class: str | None = None) -> Payload:
        """The payload, in whichever form it is held; of a preview of the stub the preview.

        Where a record's file is missing or damaged, or its version is not to be had, the copy that mode `dual` wrote is
        read. Raises RecordNotFound, AmbiguousKey, KeyRequired, and what reading and decoding raise.
        """
        self._count(reads=1)
        try:
            return self._payload(self._places.main.get(key, record_class))
        except (AmbiguousKey, KeyRequired):
            raise
        except NbmfError as error:
            copies = self._places.copies.get_all(key, record_class)
            if len(copies) != 1:
                raise
            payload = self._payload(copies[0])
            self._count(read_copies=1)
            self._alerts.add(error.code, f"a copy was read, as its record cannot be: {self._told(error)}")
            return payload

    def delete(self, key: str, record_class: str) -> bool:
        """Removes a record, and its copy; whether there was one."""
        return self._places.delete(key, record_class)

    def _payload(self, record: StoredRecord) -> Payload:
        if record.blob:
            payload = self._coding.decode(record.blob)
            self._count(read_nbmf=1)
            return payload
        form = compat.form_of(record.unmigrated)
        payload = record.unmigrated if form is None else stub.decode(record.unmigrated)
        self._count(**{f"read_{form or 'plain'}": 1})
        return payload

    def _by_nbmf(self, held: Payload, fidelity: Fidelity, key: str) -> _Blob | None:
        """The verified dict blob; None, which is counted and told, where that fails."""
        try:
            return self._encoded(held, fidelity, key)
        except Exception as error:
            code = error.code if isinstance(error, NbmfError) else type(error).__name__
            self._count(**{"failures": 1, f"failure.{code}": 1})
            self._alerts.add(
                code, f"nbmf cannot encode a record, which is written as the stub does: {self._told(error)}"
            )
            return None

    def _encoded(self, held: Payload, fidelity: Fidelity, key: str) -> _Blob:
        started = time.perf_counter()
        blob = self._coding.encode(held, fidelity, key)
        self._count(encoded=1, encode_us=round((time.perf_counter() - started) * 1e6))
        if self._verify:
            check_same(held, blob, self._coding.decode(blob))
            self._count(verified=1)
        return compat.of_json(blob) or compat.wrap(blob)  # of a service that still writes the stub's, its dict

    def _told(self, error: Exception) -> str:
        message = told(error, self._key is not None and not isinstance(error, CodecError))
        return message or type(error).__name__

    def _count(self, **counts: int) -> None:
        with self._lock:
            self._counts.update({name: count for name, count in counts.items() if count})


def _by_stub(held: Payload) -> _Blob:
    """The stub's lossless form; of what it would not give back equal, as `1.50`, a blob that needs no version.

    Raises UnsupportedPayload for what it cannot hold.
    """
    try:
        blob = stub.encode(held, "lossless")
    except (TypeError, ValueError, RecursionError) as error:
        raise UnsupportedPayload("$", f"the stub cannot hold it: {type(error).__name__}") from error
    return blob if to_canonical(stub.decode(blob)) == to_canonical(held) else _without_version(held)


def _in_need(held: Payload) -> _Blob:
    """The same, and such a blob of what the stub cannot hold."""
    try:
        return _by_stub(held)
    except UnsupportedPayload:
        return _without_version(held)


def _without_version(held: Payload) -> _Blob:
    return compat.wrap(WITHOUT_VERSION.encode(held))
