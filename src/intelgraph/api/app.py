"""The ASGI application of one worker, and its composition root.

It turns whatever a handler returns or raises into one answer, counts it and logs it. Nothing leaves as an unhandled
failure: what is not a refusal of ours answers 500 ``internal`` and is logged by type and place.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from intelgraph import __version__
from intelgraph.api import problem
from intelgraph.api.appending import Appends
from intelgraph.api.authentication import Authenticator
from intelgraph.api.bookmarks import BookmarkWaiters
from intelgraph.api.coalescing import Coalescer
from intelgraph.api.database import Database
from intelgraph.api.door import Door
from intelgraph.api.durability import Unleased
from intelgraph.api.feed import FeedNotices
from intelgraph.api.forward import Forwarder
from intelgraph.api.health import Readiness
from intelgraph.api.keys import KeySet
from intelgraph.api.lifeline import Lifeline
from intelgraph.api.logs import Log
from intelgraph.api.metrics import Metrics
from intelgraph.api.patience import SWITCH_S
from intelgraph.api.request import Request
from intelgraph.api.response import Answer, Header, Receive, Response, Send
from intelgraph.api.routes import Route, find_handler, find_route
from intelgraph.changelog.durability import StandbyWaiter
from intelgraph.control.directory_cache import CachedDirectory
from intelgraph.control.sqlite import SqliteControlStore
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from intelgraph.model.errors import IntelGraphError
from intelgraph.settings import RegionConfig


class App:
    """One worker's application: call it as ASGI. The parts are made when the server says that it starts."""

    def __init__(self, config: RegionConfig, metrics_directory: Path, lifeline: Lifeline) -> None:
        self._config = config
        self._metrics_directory = metrics_directory
        self._lifeline = lifeline
        self._every: list[Header] = [
            (b"ig-region", config.region.encode()),
            (b"ig-release", __version__.encode()),
        ]
        self._door: Door | None = None
        self._store: SqliteControlStore | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._door is not None
        door = self._door
        began = time.perf_counter()
        request = Request(scope, receive)
        route = find_route(request)
        door.metrics.in_flight.inc()
        status: int = 499
        code: str | None = "client_gone"
        try:
            answer = await self._answer(door, request, route)
            status, code = await self._send(request, answer, send)
        finally:
            door.metrics.in_flight.dec()
            self._account(request, route, status, code, time.perf_counter() - began)

    async def _answer(self, door: Door, request: Request, route: Route) -> Answer:
        try:
            handler = find_handler(route, request)
            return await handler(door, request)
        except IntelGraphError as error:
            answer = problem.of_error(error)
            if answer.status == 405:
                answer.headers.append((b"allow", route.allow))
            if answer.status == 500:
                door.log.failure("unknown_code", error, request_id=request.id.decode(), code=error.denied.code)
            return answer
        except Exception as error:
            door.log.failure("request_failed", error, request_id=request.id.decode(), route=route.template)
            return problem.of_denied(problem.INTERNAL)

    async def _send(self, request: Request, answer: Answer, send: Send) -> tuple[int, str | None]:
        headers = [(b"content-type", answer.content_type), (b"x-request-id", request.id), *answer.headers]
        given = {name for name, _ in answer.headers}
        headers += [header for header in self._every if header[0] not in given]
        if isinstance(answer, Response):
            headers.append((b"content-length", str(len(answer.body)).encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body, "more_body": False})
            return answer.status, answer.code
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await answer.run(send)
        except Exception as error:
            assert self._door is not None
            self._door.log.failure("stream_failed", error, request_id=request.id.decode())
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return 200, None

    def _account(self, request: Request, route: Route, status: int, code: str | None, seconds: float) -> None:
        assert self._door is not None
        method = request.method if request.method in route.handlers else "other"
        self._door.metrics.answered(method=method, route=route.template, status=status, code=code, seconds=seconds)
        self._door.log.write(
            "request",
            request_id=request.id.decode(),
            method=method,
            route=route.template,
            status=status,
            code=code,
            ms=round(seconds * 1000, 2),
        )

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _start(self) -> None:
        config = self._config
        sys.setswitchinterval(SWITCH_S)
        metrics = Metrics(self._metrics_directory)
        self._store = SqliteControlStore(Path(config.control))
        database = Database(config.database, config.api, on_retry=metrics.database_retries.inc)
        await database.start()
        waiters, feed = BookmarkWaiters(database), FeedNotices(database)
        keys = KeySet(config.issuer.jwks)
        directory = CachedDirectory(self._store, ttl_s=config.api.directory_ttl_s)
        door = Door(
            region=config.region,
            release=__version__,
            policy=config.api,
            authenticator=Authenticator(config.issuer, keys),
            directory=directory,
            database=database,
            reads=Coalescer(
                database,
                batch_max=config.api.coalesce_max,
                waiting_max=database.waiting_max,
                on_batch=metrics.coalesced.inc,
            ),
            appends=Appends(
                database,
                group_max=config.api.group_max,
                waiting_max=database.waiting_max,
                on_group=metrics.grouped.inc,
            ),
            waiters=waiters,
            feed=feed,
            forwarder=Forwarder(config.peers, config.api, metrics),
            standby=StandbyWaiter(pool=database.waiter_pool, here=config.region),
            lease=Unleased(),
            readiness=Readiness(),
            metrics=metrics,
            planner=Planner(schema=load_schema(), introspection=config.api.introspection),
            log=Log(facts={"region": config.region, "release": __version__, "worker": os.getpid()}),
        )
        self._lifeline.hold(door.begin_stop)
        for work in (keys.run, directory.run, waiters.run, feed.run):
            self._tasks.append(asyncio.create_task(self._keep(door, work.__qualname__, work)))
        self._door = door
        door.log.write("started")

    async def _keep(self, door: Door, name: str, work: Any) -> None:
        """Run a background loop for ever; one that fails is logged and started again."""
        while True:
            try:
                await work()
            except Exception as error:
                door.log.failure("loop_failed", error, loop=name)
            await asyncio.sleep(1.0)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._door is not None:
            await self._door.forwarder.stop()
            await self._door.database.stop()
            self._door.log.write("stopped")
            self._door.log.flush()
        if self._store is not None:
            await self._store.close()
