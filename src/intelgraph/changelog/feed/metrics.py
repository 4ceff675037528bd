"""What a region's feed measures of its subscribers, in Prometheus's exposition format, on a port of its own.

RESIDENCY: a label is a subscriber or its state; never a tenant or an id.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from intelgraph.changelog.feed.status import STATES, SubscriberStatus


class FeedMetrics:
    """The numbers of one feed."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._state = Gauge(
            "ig_subscriber_state", "1 for the state that a subscriber is in.", ["subscriber", "state"],
            registry=registry,
        )  # fmt: skip
        self._failing = Gauge(
            "ig_subscriber_failing_seconds", "For how long a subscriber has failed.", ["subscriber"], registry=registry
        )
        self._lag_rows = Gauge(
            "ig_subscriber_lag_rows", "Rows that wait for a subscriber, 10,001 at most.", ["subscriber"],
            registry=registry,
        )  # fmt: skip
        self._lag = Gauge(
            "ig_subscriber_lag_seconds", "Age of the first row that waits for a subscriber.", ["subscriber"],
            registry=registry,
        )  # fmt: skip

    def measure(self, subscribers: Sequence[SubscriberStatus]) -> None:
        """Take what was read; who is not among them any more has no numbers."""
        self.forget()
        for each in subscribers:
            for state in STATES:
                self._state.labels(each.subscriber, state).set(state == each.state)
            self._failing.labels(each.subscriber).set((each.failing_ms or 0) / 1000)
            self._lag_rows.labels(each.subscriber).set(each.lag_rows)
            self._lag.labels(each.subscriber).set(each.lag_ms / 1000)

    def forget(self) -> None:
        """Tell nothing: the database is away, and absent numbers raise an alert where old ones hide one."""
        for gauge in (self._state, self._failing, self._lag_rows, self._lag):
            gauge.clear()

    def text(self) -> bytes:
        """The numbers as they are now."""
        return generate_latest(self.registry)
