"""What an API worker counts, in Prometheus's exposition format.

Several workers share one port, so their numbers are added up through files in one directory (the client library's
multi-process mode, which the composition root switches on before this module is imported). What every request counts is
counted in memory and written to the files ``WRITE_S`` later in one piece; a process of its own adds them up for whoever
asks (``exposition``), so that no worker's event loop ever does. A worker that stops writes before it ends; one that is
killed loses the counts of its last ``WRITE_S``, its requests do not.

RESIDENCY: a label is a route's template, a status, a code, a region or an outcome; never a path, a tenant, a placement
or an id.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from intelgraph.api.limits.shares import OF_ALL, OF_TENANT, Full

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WRITE_S = 0.05
_Answer = tuple[str, str, int, str | None]
"""Method, route, status, code."""


class _Times:
    """How long the answers of a route took since the last writing, by bucket."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_SECONDS) + 1)
        self.seconds = 0.0


class Metrics:
    """The counters of one worker."""

    def __init__(self) -> None:
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
        self._coalesced = Counter(
            "ig_reads_coalesced", "Reads answered by a statement that answered others too.", registry=registry
        )
        self._in_flight = Gauge(
            "ig_http_in_flight", "Requests in work.", registry=registry, multiprocess_mode="livesum"
        )
        self.grouped = Counter("ig_appends_grouped", "GroupCommit that shared a transaction.", registry=registry)
        self.held = Gauge(
            "ig_held_writes", "Writes held until they can be taken.", registry=registry, multiprocess_mode="livesum"
        )
        self._full = Counter(
            "ig_shares_full",
            "Times that there was no more of what tenants share: of a tenant's share, or of all.",
            ["what", "whose"],
            registry=registry,
        )
        self.held_seconds = Histogram(
            "ig_held_write_seconds", "How long writes were held that were.", registry=registry, buckets=_SECONDS
        )
        self.lease_remaining = Gauge(
            "ig_lease_remaining_seconds",
            "For how much longer this region may acknowledge writes unless its lease is renewed.",
            registry=registry,
            multiprocess_mode="livemin",
        )
        self.grants = Counter("ig_grants", "Grants that workers had from their region's agent.", registry=registry)
        self.quota = Gauge(
            "ig_quota_used", "What is in use of what a worker has a bounded amount of.", ["what"], registry=registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.quota_refusals = Counter(
            "ig_quota_refusals", "Refused because a bounded thing was used up.", ["what"], registry=registry
        )
        self.in_flight = 0
        """Requests in work; the connection's handler counts."""
        self._answers: dict[_Answer, int] = {}
        self._times: dict[str, _Times] = {}
        self._together = 0
        self._writing: asyncio.TimerHandle | None = None

    def answered(self, answer: _Answer, seconds: float) -> None:
        """Count one answer."""
        self._answers[answer] = self._answers.get(answer, 0) + 1
        times = self._times.get(answer[1])
        if times is None:
            times = self._times[answer[1]] = _Times()
        times.buckets[bisect_left(_SECONDS, seconds)] += 1
        times.seconds += seconds
        if self._writing is None:
            self._writing = asyncio.get_running_loop().call_later(WRITE_S, self.write)

    def full(self, what: str) -> Callable[[Full], None]:
        """Return what counts that there was no more of something."""
        counters = {whose: self._full.labels(what, whose.rpartition(" ")[2]) for whose in (OF_TENANT, OF_ALL)}
        return lambda full: counters[full.whose].inc()

    def full_of_bytes(self, what: str) -> Callable[[], None]:
        """Return the same of what a tenant fills with bytes."""
        counter = self._full.labels(what, "tenant")
        return counter.inc

    def coalesced(self, reads: int) -> None:
        """Count reads that one statement has answered."""
        self._together += reads

    def write(self) -> None:
        """Write what was counted in memory to this worker's files."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        answers, self._answers = self._answers, {}
        for (method, route, status, code), count in answers.items():
            self._requests.labels(method, route, str(status)).inc(count)
            if code is not None:
                self._refusals.labels(code).inc(count)
        for route, times in self._times.items():
            _observe_many(self._seconds.labels(route), times)
        self._times = {}
        if self._together:
            self._coalesced.inc(self._together)
            self._together = 0
        self._in_flight.set(self.in_flight)


def _observe_many(histogram: Histogram, times: _Times) -> None:
    """Add many observations at once: the library's ``observe`` takes one, and each would be two writes to a file."""
    histogram._sum.inc(times.seconds)
    for bucket, count in zip(histogram._buckets, times.buckets, strict=True):
        if count:
            bucket.inc(count)
