"""A router's counts among the metrics of its service.

>>> from prometheus_client import REGISTRY  # doctest: +SKIP
>>> REGISTRY.register(RouterCollector(router))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator

from nbmf.extras import require
from nbmf.router.router import Router

require("nbmf.router.prometheus", "prometheus_client")

from prometheus_client.core import CounterMetricFamily  # noqa: E402 - after the remedy
from prometheus_client.registry import Collector  # noqa: E402

_DOCUMENTED = {
    "writes": "Records written.",
    "written_stub": "Records whose file is of the stub's form.",
    "written_nbmf": "Records whose file is of nbmf's form.",
    "written_copies": "Copies written in mode dual.",
    "encoded": "Blobs made by nbmf.",
    "verified": "Blobs that decoded to their record.",
    "failures": "Records that nbmf could not encode, by the error's code.",
    "fallbacks": "Writes of dual and read_through that have the stub's form alone, or need no version.",
    "bytes_stub": "Bytes of the stub's form, of records that were made in both.",
    "bytes_nbmf": "Bytes of nbmf's form, of records that were made in both.",
    "reads": "Records read.",
    "read_stub": "Records read that are of the stub's form.",
    "read_stub_preview": "Records read of which the stub kept a preview.",
    "read_nbmf": "Records read that are of nbmf's form.",
    "read_plain": "Records read that are as they were given.",
    "read_copies": "Records read by their copy.",
}
_OF_CODE = "failure."


class RouterCollector(Collector):
    """Counters `nbmf_router_<name>_total` of `Router.counts`, from the first scrape on, all of them.

    `nbmf_router_failures_total` has a label `code` in place of the counts by code, and
    `nbmf_router_encode_seconds_total` is the time that blobs took. One collector a router; of several routers of a
    process `labels` tell them apart, as {"store": "chat"}. Raises MissingExtra where the package prometheus_client
    is not installed, when this module is imported.
    """

    def __init__(self, router: Router, labels: dict[str, str] | None = None) -> None:
        self._router = router
        self._labels = labels or {}

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What prometheus_client asks at each scrape."""
        counts = self._router.counts
        for name, documentation in _DOCUMENTED.items():
            if name == "failures":
                of_code = {key.removeprefix(_OF_CODE): n for key, n in counts.items() if key.startswith(_OF_CODE)}
                yield self._family(name, documentation, [({"code": code}, n) for code, n in of_code.items()], ("code",))
            else:
                yield self._family(name, documentation, [({}, counts.get(name, 0))])
        seconds = counts.get("encode_us", 0) / 1e6
        yield self._family("encode_seconds", "Seconds that making blobs took.", [({}, seconds)])

    def _family(
        self, name: str, documentation: str, samples: list[tuple[dict[str, str], float]], own: tuple[str, ...] = ()
    ) -> CounterMetricFamily:
        family = CounterMetricFamily(f"nbmf_router_{name}", documentation, labels=[*self._labels, *own])
        for labels, value in samples:
            family.add_metric([*self._labels.values(), *labels.values()], value)
        return family
