"""The drill's follower reads a door's refusals as the door writes them: JSON, or events with 200."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from intelgraph.api.graphql import http as graphql_http
from intelgraph.api.graphql.media_types import RESPONSE
from intelgraph.api.http.accept import EVENTS
from intelgraph.drill.following import Followed, Follower
from intelgraph.drill.history import Operation, Outcome
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.model.errors import refuse
from tests.machine import WAIT_S


@pytest.mark.parametrize("kind", [EVENTS, RESPONSE])
def test_a_follower_whose_bookmark_was_superseded_goes_back_to_an_earlier_one(kind: bytes) -> None:
    refused = graphql_http.failed(kind, refuse("superseded", "the read is refused"))

    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            status=refused.status, body=refused.body, headers={"Content-Type": refused.content_type.decode()}
        )

    async def follow() -> list[Operation]:
        application = web.Application()
        application.router.add_post("/graphql", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        kept: list[Operation] = []
        enough = asyncio.Event()

        def keep(operation: Operation) -> None:
            kept.append(operation)
            enough.set()

        followed = Followed(client="f", tenant="t", placement="p", urls={"us-east": url(runner)}, token=str)
        follower = Follower(followed, "us-east/1/1/7", now=lambda: 0.0, number=lambda: 1, keep=keep)
        task = asyncio.create_task(follower.run())
        await enough.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runner.cleanup()
        return kept

    (first, *_) = asyncio.run(follow())
    assert (first.outcome, first.code, first.carried) == (Outcome.FAIL, "superseded", "us-east/1/1/7")


def url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


def test_a_follower_that_never_gets_a_stream_says_so_in_the_end() -> None:
    async def follow() -> list[Operation]:
        kept: list[Operation] = []
        setback = asyncio.Event()

        def now() -> float:
            if len(follower_of) and follower_of[0]._setbacks:
                setback.set()
            return 0.0

        follower_of: list[Follower] = []
        urls = {"us-east": f"http://127.0.0.1:{free_ports(1)[0]}"}
        followed = Followed(client="f", tenant="t", placement="p", urls=urls, token=str)
        follower_of.append(Follower(followed, "us-east/1/1/7", now=now, number=lambda: 1, keep=kept.append))
        task = asyncio.create_task(follower_of[0].run())
        await asyncio.wait_for(setback.wait(), WAIT_S)
        assert kept == []
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return kept

    (only,) = asyncio.run(follow())
    assert (only.outcome, only.code, only.members) == (Outcome.FAIL, "connection_lost", ())
