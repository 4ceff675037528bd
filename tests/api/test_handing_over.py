"""What a client may conclude of a write that was handed to its home more than once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from intelgraph.api.http.incoming import Incoming
from intelgraph.api.http.problem import of_error
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Response
from intelgraph.api.metrics import Metrics
from intelgraph.api.write.forward import Forwarder
from intelgraph.api.write.writer import Writer
from intelgraph.model.errors import IntelGraphError, TransientError, refuse, retry
from intelgraph.settings import Database, Peer

PEER = Peer(database=Database(host="", port=1, user="", password=""), api="http://home.example")
REFUSALS = [
    refuse("token_expired", "the request is refused: its bearer token has expired"),
    refuse("region_not_allowed", "the tenant may not be here"),
]


def a_write() -> Request:
    return Request("POST", b"/v1/changes", {}, None, Incoming(lambda: None), b"id")


def forwarded(answer: Response, unanswered: str | None) -> Response | IntelGraphError:
    async def send(*_: Any) -> Response:
        return answer

    forwarder = Forwarder({"home": PEER}, Metrics())
    forwarder._send = send  # type: ignore[method-assign, assignment]
    try:
        return asyncio.run(forwarder.forward(a_write(), b"{}", "home", timeout_s=1.0, unanswered=unanswered))
    except IntelGraphError as error:
        return error


@pytest.mark.parametrize("error", REFUSALS)
def test_what_a_home_refuses_before_it_looks_at_the_write_says_nothing_of_an_attempt_before(
    error: IntelGraphError,
) -> None:
    answer = of_error(error)
    assert forwarded(answer, None) is answer
    told = forwarded(answer, "us-east")
    assert isinstance(told, TransientError)
    assert (told.denied.code, told.denied.facts["refused"]) == ("maybe_written", error.denied.code)


def test_an_attempt_that_goes_on_is_never_said_not_to_have_been_sent() -> None:
    class Slow(Writer):
        async def _attempt_anew(self, *_: Any) -> Any:
            await asyncio.sleep(5.0)

    async def story() -> Any:
        writer: Any = Slow.__new__(Slow)
        before = retry("home_unreachable", "it has not been sent", retry_after_s=1.0, home="home", sent=False)
        return await writer._attempt_in_time(None, time.monotonic(), before)

    told = asyncio.run(story())
    assert told.denied.facts == {"home": "home", "sent": True}
