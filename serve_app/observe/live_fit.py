"""Whether the records that a service encodes now fit the versions that encode them: the rule of `cluster.fit`.

Ingress replicas add up sizes, by version and kind of record. The controller's replica keeps an account of each, in
which older records weigh less, and compares it with what the version's manifest says of its own held-out records.
Nothing of a record but its kind and sizes is kept, told or logged.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, Field

from cluster import fit
from cluster.fit import Sizes, Verdict
from cluster.registry import BUILTIN, NONE, STUB, Registry
from nbmf import builtin
from nbmf.errors import BlobError
from nbmf.inspection import text_part
from nbmf.manifest import Manifest, read_version
from nbmf.payload import Kind
from nbmf.vectors.changed import Coded
from serve_app.config import FitConfig

LOG_EVERY_S = 600.0
"""Of a version and kind no more than a line in this time."""

_log = logging.getLogger("ray.serve")


class LiveFit(BaseModel):
    """How a version fits the records of one kind that it encoded lately. Times are seconds since the epoch."""

    version: str
    kind: str
    records: int = Field(description="of which older ones weigh less")
    bits_per_byte: float = Field(description="of blobs, without what is cut out as spans")
    expected_bits_per_byte: float = Field(description="what the version took of its own held-out records")
    verdict: Verdict
    mismatch: bool = Field(description="raised where it does not fit, until it fits again")
    since: float | None = Field(description="when the mismatch was raised")
    advice: str


def live_sizes(coded: Iterable[tuple[int, int, Coded]]) -> dict[str, Sizes]:
    """Sizes by kind of records, each the number of its kind, its canonical bytes and what was made of it.

    Records of which fidelity semantic changed anything, and dicts of the stub, are left out.
    """
    found: dict[str, Sizes] = {}
    for kind, payload_bytes, one in coded:
        if one.changed:
            continue
        try:
            text_bytes, coded_bytes = text_part(one.blob, payload_bytes)
        except BlobError:
            continue
        label = Kind(kind).label
        found[label] = found.get(label, Sizes()) + Sizes(1, text_bytes, coded_bytes)
    return found


@dataclass(slots=True)
class _Account:
    """Of a version and kind. `since`: when a mismatch was raised; `logged`: the state that the log tells."""

    sizes: Sizes
    at: float
    since: float | None = None
    logged: bool = False
    logged_at: float = float("-inf")


class FitWatch:
    """Accounts of all versions and kinds. `add` and `fits` are for any thread, `judge` for one."""

    def __init__(self, config: FitConfig, registry: Registry) -> None:
        self._config = config
        self._registry = registry
        self._lock = threading.Lock()
        self._accounts: dict[tuple[str, str], _Account] = {}
        self._manifests: dict[str, Manifest | None] = {}
        self._fits: list[LiveFit] = []

    @property
    def fits(self) -> list[LiveFit]:
        """As last judged."""
        return self._fits

    def add(self, version: str, sizes: Mapping[str, Sizes], now: float) -> None:
        """Adds what a version made of records, by their kinds."""
        with self._lock:
            for kind, more in sizes.items():
                account = self._accounts.setdefault((version, kind), _Account(Sizes(), now))
                account.sizes, account.at = self._weighed(account, now) + more, max(now, account.at)

    def judge(self, versions: Collection[str], now: float) -> list[LiveFit]:
        """Raises, ends and logs mismatches of the versions that encode now; what is known of others is forgotten.

        Raises NbmfError if a version's manifest cannot be read.
        """
        known = {version: self._manifest(version) for version in versions}
        with self._lock:
            self._accounts = {of: account for of, account in self._accounts.items() if of[0] in known}
            accounts = sorted(self._accounts.items())
            weighed = [(*of, account, self._weighed(account, now)) for of, account in accounts]
        self._manifests = known
        found = []
        for version, kind, account, sizes in weighed:
            manifest = known[version]
            expected = fit.expected_of_kind(kind, manifest) if manifest else None
            if manifest and expected:
                not_learnt = "" if fit.learnt_of_kind(kind, manifest) else "kind"
                found.append(self._judged(version, kind, account, sizes, expected, not_learnt, now))
                _tell(found[-1], account, now)
        self._fits = found
        return found

    def _judged(
        self, version: str, kind: str, account: _Account, sizes: Sizes, expected: Sizes, not_learnt: str, now: float
    ) -> LiveFit:
        said = Verdict.TOO_FEW
        if sizes.raw_bytes >= self._config.min_bytes:
            said = fit.verdict(sizes, expected, self._config.larger_up_to, self._config.min_records)
        if said is Verdict.DOES_NOT_FIT and account.since is None:
            account.since = now
        elif said is Verdict.FITS:
            account.since = None
        raised = account.since is not None
        return LiveFit(
            version=version,
            kind=kind,
            records=round(sizes.records),
            bits_per_byte=round(sizes.bits_per_byte, 4),
            expected_bits_per_byte=round(expected.bits_per_byte, 4),
            verdict=said,
            mismatch=raised,
            since=account.since,
            advice=_advice(version, sizes, expected, not_learnt) if raised else "",
        )

    def _weighed(self, account: _Account, now: float) -> Sizes:
        weight: float = 0.5 ** (max(0.0, now - account.at) / self._config.half_life_s)
        return account.sizes * weight

    def _manifest(self, version: str) -> Manifest | None:
        """None for what has none."""
        if version in self._manifests:
            return self._manifests[version]
        if version == BUILTIN:
            folder = builtin.default_folder()
            return read_version(folder)[1] if folder else None
        return None if version in (NONE, STUB) else self._registry.manifest(version)


def _advice(version: str, sizes: Sizes, expected: Sizes, not_learnt: str) -> str:
    told = fit.advice(Verdict.DOES_NOT_FIT, sizes, expected, not_learnt)
    which = f"`nbmf evaluate {version[:12]} -r FILE` tells which classes they are of, `nbmf train -r FILE` learns them."
    return " ".join([*told, which])


def _tell(found: LiveFit, account: _Account, now: float) -> None:
    """Logs a change of state, unless the last one was a moment ago."""
    if found.mismatch == account.logged or now - account.logged_at < LOG_EVERY_S:
        return
    account.logged, account.logged_at = found.mismatch, now
    said = "does not fit" if found.mismatch else "fits again"
    bits = f"{found.bits_per_byte:.2f} bits a byte, of its own held-out ones {found.expected_bits_per_byte:.2f}."
    line = f"version {found.version[:12]} {said} the {found.kind} records that it encodes: {bits} {found.advice}"
    _log.warning("%s", line.rstrip())
