"""Bodies that we ask for: read to their end, and no further than their limit, from a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from intelgraph.http_body import BodyTooLarge, read_body

LIMIT = 100_000


@asynccontextmanager
async def answering(parts: int, size: int) -> AsyncIterator[tuple[str, list[int]]]:
    """A server whose answer comes in parts; which of them it has sent."""
    sent: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(parts):
            await response.write(b"x" * size)
            sent.append(number)
            await asyncio.sleep(0)
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}/", sent
    finally:
        await runner.cleanup()


def test_a_body_of_many_packets_is_read_to_its_end() -> None:
    async def body() -> None:
        async with answering(100, LIMIT // 100) as (url, _), aiohttp.ClientSession() as http, http.get(url) as answer:
            assert len(await read_body(answer.content, LIMIT)) == LIMIT

    asyncio.run(body())


def test_a_body_without_an_end_is_given_up_at_its_limit() -> None:
    async def body() -> None:
        async with answering(1_000_000, 1_000) as (url, sent), aiohttp.ClientSession() as http:
            with pytest.raises(BodyTooLarge, match="larger than 100000 bytes"):
                async with http.get(url) as answer:
                    await read_body(answer.content, LIMIT)
            assert len(sent) < 50_000

    asyncio.run(body())
