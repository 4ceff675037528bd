"""What the door counts, in Prometheus's exposition format.

Several workers share one port, so their numbers are added up through files in one directory (the client library's
multi-process mode, which the composition root switches on before this module is imported).

RESIDENCY: a label is a route's template, a status, a code, a region or an outcome; never a path, a tenant, a placement
or an id.
"""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The counters of one worker. ``directory`` is where all workers keep theirs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._registry = CollectorRegistry()
        registry = self._registry
        self._requests = Counter(
            "ig_http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "ig_http_request_seconds", "Time to the whole answer.", ["route"], registry=registry, buckets=_SECONDS
        )
        self._refusals = Counter("ig_refusals", "Requests refused, by code.", ["code"], registry=registry)
        self.appends = Counter("ig_appends", "Appends, by outcome.", ["outcome"], registry=registry)
        self.forwards = Counter("ig_forwards", "Writes sent to their home.", ["home", "outcome"], registry=registry)
        self.remote_wait = Histogram(
            "ig_remote_wait_seconds", "Wait for the standby's flush.", registry=registry, buckets=_SECONDS
        )
        self.bookmark_wait = Histogram(
            "ig_bookmark_wait_seconds", "Wait for a bookmark's row.", registry=registry, buckets=_SECONDS
        )
        self.database_retries = Counter(
            "ig_database_retries", "Calls repeated because the database was away.", registry=registry
        )
        self.coalesced = Counter(
            "ig_reads_coalesced", "Reads answered by a statement that answered others too.", registry=registry
        )
        self.grouped = Counter("ig_appends_grouped", "Appends that shared a transaction.", registry=registry)
        self.in_flight = Gauge("ig_http_in_flight", "Requests in work.", registry=registry, multiprocess_mode="livesum")
        self.streams = Gauge("ig_streams", "Open event streams.", registry=registry, multiprocess_mode="livesum")
        self._request_children: dict[tuple[str, str, int], Counter] = {}
        self._seconds_children: dict[str, Histogram] = {}

    def answered(self, *, method: str, route: str, status: int, code: str | None, seconds: float) -> None:
        """Count one answer."""
        key = (method, route, status)
        counter = self._request_children.get(key)
        if counter is None:
            counter = self._request_children[key] = self._requests.labels(method, route, str(status))
        counter.inc()
        histogram = self._seconds_children.get(route)
        if histogram is None:
            histogram = self._seconds_children[route] = self._seconds.labels(route)
        histogram.observe(seconds)
        if code is not None:
            self._refusals.labels(code).inc()

    def text(self) -> bytes:
        """Write out every worker's numbers, added up."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self._directory))  # type: ignore[no-untyped-call]
        return generate_latest(registry)
