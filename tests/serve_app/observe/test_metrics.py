"""What Prometheus gets: the text that a Ray session exports while the service answers real requests."""

import math
import time
from collections import Counter

import httpx
import pytest
import synthetic
from prometheus_client.parser import text_string_to_metric_families
from ray_metrics import RAYS

from serve_app.observe.calls import Call
from serve_app.observe.live_fit import LiveFit
from serve_app.observe.measurements import Counts
from serve_app.observe.metrics import DEFINITIONS, EXPORT_PREFIX, VERSION_DIGITS, ServiceMetrics, short
from serve_app.rollout.state import Rollout
from serve_app.rollout_policy import RolloutPolicy

PATIENCE_S = 90
"""Ray exports what was counted within some ten seconds."""

SECRET = "Anna-prefers-the-window-seat"
OF_RAY = {"application", "deployment", "replica", "le"}
OF_A_ROLLOUT = {"nbmf_verified_blobs_total", "nbmf_decode_mismatches_total"}
OF_THE_CACHE = {"nbmf_decoded_cache_records_total", "nbmf_decoded_cache_bytes"}  # which is off
OF_TROUBLE = {
    "nbmf_queue_rejections_total",
    "nbmf_relieved_records_total",
    "nbmf_encode_faults_total",
    "nbmf_deadline_drops_total",
    "nbmf_version_processes_ended_total",
    "nbmf_version_quarantined",
}


ENCODE, DECODE = {"route": "/v1/encode"}, {"route": "/v1/decode"}
SENT = [
    ("nbmf_requests_total", ENCODE | {"status": "200", "code": ""}, 4),
    ("nbmf_requests_total", ENCODE | {"status": "400", "code": "bad_request"}, 1),
    ("nbmf_requests_total", DECODE | {"status": "200"}, 1),
    ("nbmf_requests_total", {"route": "other", "status": "404", "code": "not_found"}, 1),
    ("nbmf_request_duration_seconds_count", ENCODE, 5),
    ("nbmf_request_records_total", ENCODE, 10),
    ("nbmf_response_body_bytes_total", DECODE, 1),
    ("nbmf_batch_records_count", {"operation": "encode"}, 4),
    ("nbmf_batch_records_count", {"operation": "decode"}, 1),
    ("nbmf_encoded_records_total", {"purpose": "served"}, 10),
    ("nbmf_semantic_vectors_total", {"purpose": "served"}, 1),
    ("nbmf_semantic_least_cosine_count", {"purpose": "served"}, 1),
]
"""What the requests of `exported` count at least; each process exports at a moment of its own."""


@pytest.fixture(scope="module")
def exported(ray_session, service, version, repository):
    """All series after some requests: {name: [(labels, value)]}, and the text that they are in.

    Beside them the bytes of these requests' bodies, by route; series count what other tests sent, too.
    """
    sent_bytes = Counter()
    client = service.client
    client.event_hooks = {"request": [lambda request: sent_bytes.update({request.url.path: len(request.content)})]}
    record = synthetic.records(1, seed=5)[0]
    service.json("/v1/encode", {"payload": SECRET, "key": SECRET})
    service.json("/v1/encode", {"records": [{"payload": record}] * 7})
    _, encoded = service.json("/v1/encode", {"payload": record})
    service.json("/v1/decode", {"blob": encoded["blob"]})
    vector = {"v": [math.sin(n) for n in range(384)]}
    service.json("/v1/encode", {"payload": vector, "fidelity": "semantic"})
    service.octets("/v1/decode", (repository / "tests/golden/counts_text.blob").read_bytes())
    service.client.post("/v1/encode", content=b"{", headers={"X-Request-Id": SECRET})
    service.client.get(f"/v1/{SECRET}", params={"key": SECRET})
    client.event_hooks = {}
    least = [
        *SENT,
        *(("nbmf_request_body_bytes_total", route, sent_bytes[route["route"]]) for route in (ENCODE, DECODE)),
    ]
    node = ray_session.nodes()[0]
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    expected = {EXPORT_PREFIX + name for name in DEFINITIONS} - {
        EXPORT_PREFIX + name for name in OF_A_ROLLOUT | OF_THE_CACHE | OF_TROUBLE
    }
    for _ in range(PATIENCE_S):
        text = httpx.get(url, timeout=30).text
        series = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series.setdefault(sample.name, []).append((sample.labels, sample.value))
        missing = {name for name in expected if not {name, f"{name}_count"} & series.keys()} | RAYS - series.keys()
        if not missing and all(total(series, name, **labels) >= value for name, labels, value in least):
            return series, text, least
        time.sleep(1)
    raise AssertionError(
        f"not exported: {missing}, or too little of {[(s, total(series, s[0], **s[1])) for s in least]}"
    )


def total(series, name, **labels):
    """Sum over the series of this name that have these labels."""
    found = series.get(EXPORT_PREFIX + name, [])
    return sum(value for has, value in found if labels.items() <= has.items())


def test_requests_are_counted(exported):
    series, _, least = exported
    for name, labels, value in least:
        assert total(series, name, **labels) >= value > 0, name


def test_versions_are_counted(exported, version):
    series, _, _ = exported
    of = {"version": version.id[:VERSION_DIGITS], "purpose": "served"}
    assert total(series, "nbmf_encoded_records_total", **of) >= 9
    ratio = total(series, "nbmf_encoded_payload_bytes_total", **of) / total(
        series, "nbmf_encoded_blob_bytes_total", **of
    )
    assert ratio > 1
    assert total(series, "nbmf_encode_duration_seconds_count", **of) >= 9
    assert total(series, "nbmf_version_share_percent", version=of["version"], application="nbmf") == 100


def test_the_controller_is_seen(exported):
    series, _, _ = exported
    assert time.time() - total(series, "nbmf_rollout_judged_timestamp_seconds", application="nbmf") < 600
    states = {labels["state"] for labels, _ in series[f"{EXPORT_PREFIX}nbmf_rollout_state"]}
    assert states == {"staged", "canary", "stable", "rolled_back"}


def test_nothing_of_a_client_is_a_label(exported):
    """Neither contents nor names that a client chose: series are never more than the service has parts."""
    series, text, _ = exported
    assert SECRET not in text
    routes = {labels["route"] for labels, _ in series[f"{EXPORT_PREFIX}nbmf_requests_total"]}
    assert routes <= {"/v1/encode", "/v1/decode", "/v1/versions", "/healthz", "/openapi.json", "/docs", "other"} | {
        route for route in routes if route.startswith(("/v1/admin/", "/console", "/nbmf.v1.Codec/"))
    }
    rays_on_all = {"Component", "NodeAddress", "SessionName", "Version", "WorkerId"}
    for name, definition in DEFINITIONS.items():
        for ending in ("", "_bucket", "_count", "_sum"):
            for labels, _ in series.get(f"{EXPORT_PREFIX}{name}{ending}", []):
                own = {label for label in labels if not label.startswith("otel_")} - rays_on_all
                assert own <= {*definition.labels, *OF_RAY}, (name, own)


def test_rays_own_are_there(exported):
    assert exported[0].keys() >= RAYS


# --- without a session --------------------------------------------------------------------------------------------


class Recorded:
    """In place of Ray's metrics: what was told to each."""

    def __init__(self, name, **options):
        self.labels = set(options["tag_keys"])
        self.told = []

    def _tell(self, value, labels=None):
        assert set(labels or {}) == self.labels
        assert all(type(label) is str for label in (labels or {}).values())
        self.told.append((value, labels or {}))

    inc = observe = set = _tell


@pytest.fixture
def metrics(monkeypatch):
    from ray.serve import metrics

    for kind in ("Counter", "Gauge", "Histogram"):
        monkeypatch.setattr(metrics, kind, Recorded)
    return ServiceMetrics()


def told(metrics, name):
    return metrics._of[name].told


def test_bodies_are_counted_to_the_byte_and_by_route(metrics):
    metrics.request(Call("a", 0.0, status=200, bytes_in=700, bytes_out=90), "/v1/encode", 0.1)
    metrics.request(Call("b", 0.0, status=200, bytes_in=90, bytes_out=650), "/v1/decode", 0.1)
    metrics.request(Call("c", 0.0, status=404, bytes_in=3, bytes_out=5), None, 0.1)
    routes = [{"route": "/v1/encode"}, {"route": "/v1/decode"}, {"route": "other"}]
    assert told(metrics, "nbmf_request_body_bytes_total") == list(zip((700, 90, 3), routes, strict=True))
    assert told(metrics, "nbmf_response_body_bytes_total") == list(zip((90, 650, 5), routes, strict=True))


def test_troubles(metrics):
    full = Call("a", 0.0, status=429, code="overloaded")
    late = Call("b", 0.0, status=504, code="deadline_exceeded")
    gone = Call("c", 0.0, code="cancelled")
    for call in (full, late, gone):
        metrics.request(call, "/v1/encode", 0.1)
    metrics.deadline_drop("replica")
    statuses = [labels["status"] for _, labels in told(metrics, "nbmf_requests_total")]
    assert statuses == ["429", "504", "0"]
    assert told(metrics, "nbmf_queue_rejections_total") == [(1, {"route": "/v1/encode"})]
    assert told(metrics, "nbmf_deadline_drops_total") == [(1, {"stage": "request"}), (1, {"stage": "replica"})]


def test_faults_and_mismatches(metrics):
    metrics.encoded("f" * 64, Counts(records=3, faults=1, payload_bytes=20, blob_bytes=10), 2, 0.01, "copy")
    labels = {"version": "f" * 12, "purpose": "copy"}
    assert told(metrics, "nbmf_encoded_records_total") == [(2, labels)]
    assert told(metrics, "nbmf_encode_faults_total") == [(1, labels)]
    assert told(metrics, "nbmf_encode_duration_seconds") == [(0.01, labels)] * 3
    metrics.verified("f" * 64, 5, 0)
    assert told(metrics, "nbmf_decode_mismatches_total") == []
    metrics.verified("f" * 64, 5, 1)
    assert told(metrics, "nbmf_verified_blobs_total") == [(5, {"version": "f" * 12})] * 2
    assert told(metrics, "nbmf_decode_mismatches_total") == [(1, {"version": "f" * 12})]


def test_gauges_of_a_rollout(metrics):
    rollout = Rollout(
        id="r", candidate="c" * 64, stable="a" * 64, policy=RolloutPolicy(), state="canary", percent=10, since=0,
        reason="", ready=True, paused=True,
    )  # fmt: skip
    metrics.rollout(rollout, {"a" * 64: 90, "c" * 64: 10})
    states = {labels["state"]: value for value, labels in told(metrics, "nbmf_rollout_state")}
    assert states == {"staged": 0, "canary": 1, "stable": 0, "rolled_back": 0}
    assert told(metrics, "nbmf_rollout_paused") == told(metrics, "nbmf_rollout_ready") == [(1, {})]
    metrics._of["nbmf_version_share_percent"].told.clear()
    metrics.rollout(None, {"builtin": 100})
    shares = {labels["version"]: value for value, labels in told(metrics, "nbmf_version_share_percent")}
    assert shares == {"a" * 12: 0, "c" * 12: 0, "builtin": 100}
    assert told(metrics, "nbmf_rollout_ready")[-1] == (0, {})


def test_gauges_of_fits(metrics):
    """One that is told no more goes to 0."""
    fit = LiveFit(
        version="a" * 64, kind="text", records=300, bits_per_byte=3.1, expected_bits_per_byte=1.5,
        verdict="does not fit", mismatch=True, since=0, advice="",
    )  # fmt: skip
    metrics.fit([fit])
    metrics.fit([])
    labels = {"version": "a" * 12, "kind": "text"}
    assert told(metrics, "nbmf_domain_mismatch") == [(1, labels), (0, labels)]
    assert told(metrics, "nbmf_live_bits_per_byte") == [(3.1, labels), (0, labels)]
    assert told(metrics, "nbmf_expected_bits_per_byte") == [(1.5, labels), (0, labels)]


def test_versions_in_quarantine(monkeypatch):
    """One that is out of it goes to 0."""
    told, metrics = [], ServiceMetrics()
    monkeypatch.setattr(metrics, "_set", lambda name, value, labels=None: told.append((name, value, labels)))
    name, version = "nbmf_version_quarantined", {"version": "a" * VERSION_DIGITS}
    metrics.quarantine({"a" * 64: "why"})
    metrics.quarantine({})
    assert told == [(name, True, version), (name, False, version)]


def test_metrics_never_fail_a_request_without_a_session(in_process):
    """As in a test or a notebook: what is counted goes nowhere."""
    assert in_process()("POST", "/v1/encode", json={"payload": "x"}).status_code == 200
    assert short("builtin") == "builtin"
