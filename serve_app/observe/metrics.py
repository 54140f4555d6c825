"""What Prometheus sees of the service. Ray exports each name with `ray_` before it, and labels each series with
application, deployment and replica.

No label holds what a client chose: routes, codes, stages and kinds are the service's own, versions the first
VERSION_DIGITS digits of an id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Protocol, get_args

from nbmf.vectors.changed import Changed
from serve_app.observe.calls import Call
from serve_app.observe.measurements import Counts
from serve_app.rollout_policy import State

EXPORT_PREFIX = "ray_"
VERSION_DIGITS = 12
OTHER_ROUTE = "other"

Operation = Literal["encode", "decode"]
Purpose = Literal["served", "copy"]
"""Of a blob: it is the answer to a request, or is measured for a rollout and thrown away."""
Stage = Literal["request", "replica"]
"""Where a deadline was found to be over: requests answered so, and batches that a replica did not begin."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.12, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COSINES = (0.5, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.9925, 0.995, 0.9975, 0.999, 0.9999, 1)
_RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric. A counter's name ends in `_total`, which Ray would add."""

    kind: Literal["counter", "gauge", "histogram"]
    description: str
    labels: tuple[str, ...] = ()
    boundaries: tuple[float, ...] = ()


DEFINITIONS = {
    "nbmf_requests_total": Definition(
        "counter", "Requests answered; code is empty for those that did not fail.", ("route", "status", "code")
    ),
    "nbmf_request_duration_seconds": Definition(
        "histogram", "From a request's arrival to its answer.", ("route",), _SECONDS
    ),
    "nbmf_request_records_total": Definition("counter", "Records in requests, coded or not.", ("route",)),
    "nbmf_request_body_bytes_total": Definition("counter", "Bytes of bodies of requests.", ("route",)),
    "nbmf_response_body_bytes_total": Definition("counter", "Bytes of bodies of answers.", ("route",)),
    "nbmf_queue_rejections_total": Definition(
        "counter", "Requests answered 429: the queue that they needed was full.", ("route",)
    ),
    "nbmf_deadline_drops_total": Definition(
        "counter", "Deadlines found over: requests answered 504, batches that a replica did not begin.", ("stage",)
    ),
    "nbmf_encoded_records_total": Definition("counter", "Records encoded.", ("version", "purpose")),
    "nbmf_encoded_payload_bytes_total": Definition(
        "counter", "Canonical bytes of the records encoded.", ("version", "purpose")
    ),
    "nbmf_encoded_blob_bytes_total": Definition("counter", "Bytes of their blobs.", ("version", "purpose")),
    "nbmf_relieved_records_total": Definition(
        "counter", "Records with effort auto that were encoded by fast, as others had waited for long."
    ),
    "nbmf_encode_faults_total": Definition(
        "counter", "Records that could not be encoded by a fault of the service.", ("version", "purpose")
    ),
    "nbmf_encode_duration_seconds": Definition(
        "histogram",
        "Of a record's encoding, as the ingress sees it; a batch's time is shared.",
        ("version", "purpose"),
        _SECONDS,
    ),
    "nbmf_semantic_vectors_total": Definition(
        "counter", "Vectors that fidelity semantic changed.", ("version", "purpose")
    ),
    "nbmf_semantic_least_cosine": Definition(
        "histogram",
        "Of each record that fidelity semantic changed: the least cosine of its vectors with what they decode to.",
        ("version", "purpose"),
        _COSINES,
    ),
    "nbmf_batch_records": Definition(
        "histogram",
        "Records that a replica coded as one batch; of a decoder, those of one request that were taken up together.",
        ("operation",),
        _RECORDS,
    ),
    "nbmf_version_loads_total": Definition(
        "counter", "Codec versions that a decoder replica loaded because a blob named them."
    ),
    "nbmf_versions_loaded": Definition("gauge", "Codec versions in a decoder replica's memory, after the last load."),
    "nbmf_version_processes_ended_total": Definition(
        "counter", "Processes of isolated versions that were killed or hung.", ("version",)
    ),
    "nbmf_version_quarantined": Definition("gauge", "1 for a version in quarantine, 0 once it is out.", ("version",)),
    "nbmf_decoded_cache_records_total": Definition(
        "counter", "Records asked of the cache of decoded ones: result is hit or miss.", ("result",)
    ),
    "nbmf_decoded_cache_bytes": Definition("gauge", "Bytes that the cache of decoded records takes."),
    "nbmf_verified_blobs_total": Definition("counter", "Blobs that were decoded and compared.", ("version",)),
    "nbmf_decode_mismatches_total": Definition("counter", "Of these, wrong ones.", ("version",)),
    "nbmf_domain_mismatch": Definition(
        "gauge", "1 while records of a kind do not fit the version that encodes them.", ("version", "kind")
    ),
    "nbmf_live_bits_per_byte": Definition(
        "gauge", "What a version takes of the records of a kind that it encoded lately.", ("version", "kind")
    ),
    "nbmf_expected_bits_per_byte": Definition(
        "gauge", "What it took of such records that were held out of its training.", ("version", "kind")
    ),
    "nbmf_version_share_percent": Definition("gauge", "Share of keys that a version encodes.", ("version",)),
    "nbmf_rollout_state": Definition("gauge", "1 for the state that the latest rollout is in.", ("state",)),
    "nbmf_rollout_paused": Definition("gauge", "1 while the rollout is paused."),
    "nbmf_rollout_ready": Definition("gauge", "1 when all replicas have loaded the candidate of an active rollout."),
    "nbmf_rollout_judged_timestamp_seconds": Definition("gauge", "When the controller last looked at the rollout."),
}


class ShownRollout(Protocol):
    """What gauges show of a rollout."""

    @property
    def state(self) -> State: ...
    @property
    def paused(self) -> bool: ...
    @property
    def is_active(self) -> bool: ...
    @property
    def ready(self) -> bool: ...


class ShownFit(Protocol):
    """What gauges show of how a version fits a kind of records."""

    @property
    def version(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def mismatch(self) -> bool: ...
    @property
    def bits_per_byte(self) -> float: ...
    @property
    def expected_bits_per_byte(self) -> float: ...


class ServiceMetrics:
    """The metrics of this process. Made inside a replica, they bear its labels."""

    def __init__(self) -> None:
        from ray.serve import metrics

        self._of: dict[str, Any] = {}
        for name, definition in DEFINITIONS.items():
            options: dict[str, Any] = {"description": definition.description, "tag_keys": definition.labels}
            if definition.kind == "histogram":
                options["boundaries"] = list(definition.boundaries)
            self._of[name] = getattr(metrics, definition.kind.capitalize())(name, **options)
        self._shown: set[str] = set()
        self._quarantined: set[str] = set()
        self._fits: set[tuple[str, str]] = set()

    def request(self, call: Call, route: str | None, duration_s: float) -> None:
        """Counts a request that was answered, or whose client hung up (status 0). `route` is None if it has none."""
        labels = {"route": route or OTHER_ROUTE}
        self._add("nbmf_requests_total", 1, labels | {"status": str(call.status or 0), "code": call.code or ""})
        self._of["nbmf_request_duration_seconds"].observe(duration_s, labels)
        self._add("nbmf_request_records_total", call.records or 0, labels)
        self._add("nbmf_request_body_bytes_total", call.bytes_in, labels)
        self._add("nbmf_response_body_bytes_total", call.bytes_out, labels)
        if call.code == "overloaded":
            self._add("nbmf_queue_rejections_total", 1, labels)
        if call.code == "deadline_exceeded":
            self.deadline_drop("request")

    def deadline_drop(self, stage: Stage) -> None:
        """Counts that nobody waited any more."""
        self._add("nbmf_deadline_drops_total", 1, {"stage": stage})

    def batch(self, operation: Operation, records: int) -> None:
        """Counts a batch that a replica begins to code."""
        self._of["nbmf_batch_records"].observe(records, {"operation": operation})

    def version_loaded(self, held: int) -> None:
        """Counts that a blob's version was loaded, with which so many are in memory."""
        self._add("nbmf_version_loads_total", 1, {})
        self._set("nbmf_versions_loaded", held)

    def version_ended(self, version: str) -> None:
        """Counts that the process of an isolated version ended otherwise than by being put away."""
        self._add("nbmf_version_processes_ended_total", 1, {"version": short(version)})

    def quarantine(self, versions: Collection[str]) -> None:
        """Sets which versions are in quarantine. Those that were shown before and are not now go to 0."""
        now = {short(version) for version in versions}
        self._quarantined |= now
        for version in self._quarantined:
            self._set("nbmf_version_quarantined", version in now, {"version": version})

    def decoded_cache(self, hits: int, misses: int, held_bytes: int) -> None:
        """Counts what the cache of decoded records had of a request's blobs."""
        self._add("nbmf_decoded_cache_records_total", hits, {"result": "hit"})
        self._add("nbmf_decoded_cache_records_total", misses, {"result": "miss"})
        self._set("nbmf_decoded_cache_bytes", held_bytes)

    def encoded(self, version: str, counts: Counts, blobs: int, record_s: float, purpose: Purpose) -> None:
        """Counts what a version made of the records of one call, which took this long a record."""
        labels = {"version": short(version), "purpose": purpose}
        self._add("nbmf_encoded_records_total", blobs, labels)
        self._add("nbmf_encoded_payload_bytes_total", counts.payload_bytes, labels)
        self._add("nbmf_encoded_blob_bytes_total", counts.blob_bytes, labels)
        self._add("nbmf_encode_faults_total", counts.faults, labels)
        for _ in range(counts.records):
            self._of["nbmf_encode_duration_seconds"].observe(record_s, labels)

    def relieved(self, records: int) -> None:
        """Counts records that the load had encoded by effort fast."""
        self._add("nbmf_relieved_records_total", records, {})

    def changed(self, version: str, changed: Sequence[Changed], purpose: Purpose) -> None:
        """Counts what fidelity semantic changed of the records of one call."""
        labels = {"version": short(version), "purpose": purpose}
        for one in changed:
            self._add("nbmf_semantic_vectors_total", one.vectors, labels)
            self._of["nbmf_semantic_least_cosine"].observe(one.cosine_min, labels)

    def verified(self, version: str, blobs: int, mismatches: int) -> None:
        """Counts blobs of a version that were decoded and compared."""
        self._add("nbmf_verified_blobs_total", blobs, {"version": short(version)})
        self._add("nbmf_decode_mismatches_total", mismatches, {"version": short(version)})

    def rollout(self, rollout: ShownRollout | None, shares_percent: Mapping[str, float]) -> None:
        """Sets the gauges of the latest rollout. Versions that were shown before and have no share now go to 0."""
        for state in get_args(State):
            self._set("nbmf_rollout_state", rollout is not None and rollout.state == state, {"state": state})
        self._set("nbmf_rollout_paused", rollout is not None and rollout.paused)
        self._set("nbmf_rollout_ready", rollout is not None and rollout.is_active and rollout.ready)
        shares = {short(version): percent for version, percent in shares_percent.items()}
        self._shown |= shares.keys()
        for version in self._shown:
            self._set("nbmf_version_share_percent", shares.get(version, 0), {"version": version})

    def fit(self, fits: Sequence[ShownFit]) -> None:
        """Sets the gauges of how versions fit what they encode. What was shown before and is not now goes to 0."""
        now = {(short(one.version), one.kind): one for one in fits}
        self._fits |= now.keys()
        for version, kind in self._fits:
            of, one = {"version": version, "kind": kind}, now.get((version, kind))
            self._set("nbmf_domain_mismatch", one is not None and one.mismatch, of)
            self._set("nbmf_live_bits_per_byte", one.bits_per_byte if one else 0, of)
            self._set("nbmf_expected_bits_per_byte", one.expected_bits_per_byte if one else 0, of)

    def judged(self, now: float) -> None:
        """Tells that the controller works."""
        self._set("nbmf_rollout_judged_timestamp_seconds", now)

    def _add(self, name: str, value: float, labels: dict[str, str]) -> None:
        if value > 0:  # Ray refuses to add nothing
            self._of[name].inc(value, labels)

    def _set(self, name: str, value: float, labels: dict[str, str] | None = None) -> None:
        self._of[name].set(float(value), labels)


@cache
def service_metrics() -> ServiceMetrics:
    """This process's."""
    return ServiceMetrics()


def short(version: str) -> str:
    """A version as a label: ids are cut, `builtin` and `none` stay."""
    return version[:VERSION_DIGITS]


def exported_names() -> set[str]:
    """Names of the series that Prometheus gets of these metrics."""
    names = set()
    for name, definition in DEFINITIONS.items():
        endings = ("_bucket", "_count", "_sum") if definition.kind == "histogram" else ("",)
        names |= {f"{EXPORT_PREFIX}{name}{ending}" for ending in endings}
    return names
