"""What the host decides without a database: pauses, reasons, and when a batch ended because of its size."""

from __future__ import annotations

import pytest

from intelgraph.changelog.feed.delivery import is_full
from intelgraph.changelog.feed.host import reason_of, retry_after_s
from intelgraph.changelog.feed.metrics import FeedMetrics
from intelgraph.changelog.feed.status import SubscriberStatus
from intelgraph.changelog.feed.subscriber import FeedRow
from intelgraph.model.errors import refuse
from intelgraph.settings import SubscriberPolicy


def row(body: str | None) -> FeedRow:
    return FeedRow(
        origin="here", life=1, epoch=1, position=1, placement="p", tenant="t", kind="write", status="applied", body=body
    )


def test_pauses_double_up_to_their_bound() -> None:
    policy = SubscriberPolicy(retry_s=0.5, retry_s_max=5.0)
    assert [retry_after_s(failures, policy) for failures in (1, 2, 3, 4, 5, 10_000)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("rows", "full"),
    [
        ([], False),
        ([row(None), row("abc")], False),
        ([row(None), row(None), row(None)], True),
        ([row("é" * 5)], True),
    ],
)
def test_a_batch_is_full_by_rows_or_by_bytes(rows: list[FeedRow], full: bool) -> None:
    assert is_full(rows, SubscriberPolicy(rows_max=3, bytes_max=10)) is full


def test_a_reason_quotes_no_data() -> None:
    assert reason_of(ValueError("somebody's name")) == "ValueError"
    assert reason_of(refuse("subscriber_silent", "it said nothing for 60 s")) == "it said nothing for 60 s"


def test_numbers_are_those_that_were_read_last_and_none_while_nobody_can_say() -> None:
    metrics = FeedMetrics()
    gone = SubscriberStatus(subscriber="gone", state="following", failing_ms=None, reason=None, lag_rows=0, lag_ms=0)
    failing = SubscriberStatus(
        subscriber="cache", state="failing", failing_ms=2_500, reason="OSError", lag_rows=7, lag_ms=1_500
    )
    metrics.measure([gone, failing])
    metrics.measure([failing])
    lines = [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]
    assert lines == [
        'ig_subscriber_state{state="following",subscriber="cache"} 0.0',
        'ig_subscriber_state{state="rebuilding",subscriber="cache"} 0.0',
        'ig_subscriber_state{state="failing",subscriber="cache"} 1.0',
        'ig_subscriber_failing_seconds{subscriber="cache"} 2.5',
        'ig_subscriber_lag_rows{subscriber="cache"} 7.0',
        'ig_subscriber_lag_seconds{subscriber="cache"} 1.5',
    ]
    metrics.forget()
    assert "{" not in metrics.text().decode()
