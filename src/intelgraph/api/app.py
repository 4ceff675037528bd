"""The application of one worker, and its composition root.

It turns whatever a handler returns or raises into one answer, counts it and logs it. Nothing leaves as an unhandled
failure: what is not a refusal of ours answers 500 ``internal`` and is logged by type and place.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from intelgraph import __version__
from intelgraph.api import problem
from intelgraph.api.auth.authentication import Authenticator
from intelgraph.api.auth.keys import KeySet
from intelgraph.api.auth.steady_wall import SteadyWall
from intelgraph.api.database.coalescing import Coalescer
from intelgraph.api.database.database import Database
from intelgraph.api.database.feed import FeedNotices
from intelgraph.api.door import Door
from intelgraph.api.health import Readiness
from intelgraph.api.http.body import BODIES_MAX, BODIES_OF_TENANT_MAX, BODY_BYTES_MAX, BODY_BYTES_OF_TENANT_MAX
from intelgraph.api.http.connections import CONNECTIONS_MAX, Connections
from intelgraph.api.http.cors import Cors
from intelgraph.api.http.http1 import Connection
from intelgraph.api.http.lifeline import Lifeline
from intelgraph.api.http.outgoing import LARGE_BYTES
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Answer, Header, Response
from intelgraph.api.limits.patience import SWITCH_S
from intelgraph.api.limits.quota import ConnectionLoad, Quota
from intelgraph.api.logs import Log
from intelgraph.api.metrics import Metrics
from intelgraph.api.read.bookmarks import BookmarkWaiters
from intelgraph.api.read.stream import STREAMS_MAX, STREAMS_OF_TENANT_MAX
from intelgraph.api.routes import UNROUTED, Route, find_handler, find_route
from intelgraph.api.write.appending import Appends
from intelgraph.api.write.durability import LeaseCheck, Unleased
from intelgraph.api.write.forward import Forwarder
from intelgraph.api.write.granted import GrantedLease
from intelgraph.api.write.holding import Holding
from intelgraph.api.write.probe import WriteProbe
from intelgraph.changelog.durability import StandbyWaiter
from intelgraph.control.agent.leases.steady import steady_s
from intelgraph.control.directory.cache import CachedDirectory
from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ControlStore
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from intelgraph.model.errors import IntelGraphError
from intelgraph.runtime.loops import Loops
from intelgraph.settings import ApiPolicy, RegionConfig

_MEASURE_S = 1.0
_QUOTAS = {
    "streams": (STREAMS_MAX, STREAMS_OF_TENANT_MAX),
    "bodies": (BODIES_MAX, BODIES_OF_TENANT_MAX),
    "body_bytes": (BODY_BYTES_MAX, BODY_BYTES_OF_TENANT_MAX),
}
"""Of each bounded thing of a worker: how much there is, and a tenant's share."""
# Writes are acknowledged with less durability than was declared, until a standby has caught up.
_DEGRADED: Header = (b"ig-degraded", b"standby_lost")


class App:
    """One worker's application. The parts are made when the server says that it starts."""

    def __init__(self, config: RegionConfig, lifeline: Lifeline) -> None:
        self._config = config
        self._lifeline = lifeline
        self._cors = Cors(config.api.allowed_origins)
        self._every: list[Header] = [
            (b"ig-region", config.region.encode()),
            (b"ig-release", __version__.encode()),
            *self._cors.every,
        ]
        self._door: Door | None = None
        self._store: ControlStore | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def _serve(self, connection: Connection, request: Request) -> None:
        """Answer one request."""
        assert self._door is not None
        door = self._door
        began = time.perf_counter()
        route = find_route(request)
        door.metrics.in_flight += 1
        status: int = 499
        code: str | None = "client_gone"
        try:
            answer = await self._answer(door, request, route)
            if not door.directory.is_current:
                answer = _with(answer, door.directory_age())
            if request.is_degraded:
                answer = _with(answer, [_DEGRADED])
            if b"origin" in request.headers:
                answer = _with(answer, self._cors.headers(request))
            if isinstance(answer, Response):
                if not connection.gone:
                    connection.respond(request, answer)
                    if len(answer.body) > LARGE_BYTES:
                        connection.when_taken(door.database.outgoing.hold(request.tenant, len(answer.body)))
                    status, code = answer.status, answer.code
            else:
                if not connection.gone:
                    status, code = 200, None
                    await connection.stream(request, answer)
        except Exception as error:
            door.log.failure("stream_failed", error, request_id=request.id.decode())
            if status == 499:
                connection.abort()  # nothing was said, and nothing can be
        finally:
            request.end()
            connection.finish(request)
            seconds = time.perf_counter() - began
            told = (_method_label(request, route), route.template, status, code)
            door.metrics.in_flight -= 1
            door.metrics.answered(told, seconds)
            door.log.request(told, request.id, seconds)

    async def _answer(self, door: Door, request: Request, route: Route) -> Answer:
        try:
            if request.method == "OPTIONS" and request.flaw is None and route is not UNROUTED:
                return self._cors.preflight(request, route.allow)
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

    async def start(self) -> Connections:
        """Make the parts of this worker."""
        config = self._config
        sys.setswitchinterval(SWITCH_S)
        metrics = Metrics()
        self._store = open_store(config.control)
        database = Database(
            config.database, config.api, on_retry=metrics.database_retries.inc, on_full=metrics.full("waiting")
        )
        await database.start()
        waiters, feed = BookmarkWaiters(database), FeedNotices(database)
        keys = KeySet(config.issuer.jwks)
        holding = Holding(policy=config.api, metrics=metrics)
        directory = CachedDirectory(
            self._store,
            ttl_s=config.api.directory_ttl_s,
            stale_s_max=config.api.directory_stale_reads_s_max,
            on_change=holding.wake,
        )
        wall = SteadyWall(wall=time.time, steady=steady_s, told=bool(config.agent_socket))
        lease, lease_loops = _lease(config, directory, holding, metrics, wall)
        door = Door(
            region=config.region,
            release=__version__,
            policy=config.api,
            authenticator=Authenticator(config.issuer, keys, wall_clock=wall.now_s),
            directory=directory,
            database=database,
            reads=_reads(database, config.api, metrics),
            appends=_appends(database, config.api, metrics),
            waiters=waiters,
            feed=feed,
            forwarder=Forwarder(config.peers, metrics),
            standby=StandbyWaiter(pool=database.waiter_pool, here=config.region),
            lease=lease,
            holding=holding,
            readiness=Readiness(),
            write_probe=WriteProbe(login=config.database, lease=lease),
            metrics=metrics,
            streams=_quota("streams", metrics),
            bodies=_quota("bodies", metrics),
            body_bytes=_quota("body_bytes", metrics),
            connections=ConnectionLoad(CONNECTIONS_MAX),
            planner=Planner(schema=load_schema(), introspection=config.api.introspection),
            log=Log(facts={"region": config.region, "release": __version__, "worker": os.getpid()}),
        )
        connections = Connections(self._serve, self._every, on_sweep=partial(_report_connections, door))

        def begin_stop() -> None:
            connections.last_answers = True
            door.begin_stop()

        self._lifeline.hold(begin_stop)
        loops = Loops(retry_s=1.0, on_failure=lambda name, error: door.log.failure("loop_failed", error, loop=name))
        for work in (keys.run, directory.run, waiters.run, feed.run, *lease_loops):
            self._tasks.append(asyncio.create_task(loops.keep(work.__qualname__, work)))
        self._door = door
        _count_what_is_full(door)
        door.log.write("started")
        return connections

    async def stop(self) -> None:
        """End them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._door is not None:
            await self._door.forwarder.stop()
            await self._door.database.stop()
            self._door.log.write("stopped")
            self._door.log.flush()
            self._door.metrics.write()
        if self._store is not None:
            await self._store.close()


def _reads(database: Database, policy: ApiPolicy, metrics: Metrics) -> Coalescer:
    return Coalescer(
        database,
        batch_max=policy.coalesce_max,
        waiting_max=database.waiting_max,
        waiting_of_tenant_max=database.waiting_of_tenant_max,
        on_batch=metrics.coalesced,
        on_full=metrics.full("waiting"),
    )


def _appends(database: Database, policy: ApiPolicy, metrics: Metrics) -> Appends:
    return Appends(
        database,
        group_max=policy.group_max,
        waiting_max=database.waiting_max,
        waiting_of_tenant_max=database.waiting_of_tenant_max,
        on_group=metrics.grouped.inc,
        on_full=metrics.full("waiting"),
    )


def _count_what_is_full(door: Door) -> None:
    full = door.metrics.full_of_bytes
    door.database.outgoing.on_full = full("unread answers")
    door.planner.documents.on_full = full("documents")
    door.persisted.texts.on_full = full("persisted documents")


def _report_connections(door: Door, open_now: int, refused: int) -> None:
    door.connections.report(open_now, refused)
    door.metrics.quota.labels("connections").set(open_now)
    if refused:
        door.metrics.quota_refusals.labels("connections").inc(refused)


def _quota(name: str, metrics: Metrics) -> Quota:
    limit, limit_of_tenant = _QUOTAS[name]
    return Quota(
        name.replace("_", " "),
        limit=limit,
        limit_of_tenant=limit_of_tenant,
        on_change=metrics.quota.labels(name).set,
        on_refusal=metrics.quota_refusals.labels(name).inc,
    )


def _method_label(request: Request, route: Route) -> str:
    method = "HEAD" if request.bodiless else request.method
    return method if method in route.methods else "other"


def _with(answer: Answer, headers: list[Header]) -> Answer:
    """Return an answer with more headers; the one that was given may be another request's too."""
    if isinstance(answer, Response):
        return msgspec.structs.replace(answer, headers=[*answer.headers, *headers])
    return dataclasses.replace(answer, headers=[*answer.headers, *headers])


def _lease(
    config: RegionConfig, directory: CachedDirectory, holding: Holding, metrics: Metrics, wall: SteadyWall
) -> tuple[LeaseCheck, list[Callable[[], Awaitable[None]]]]:
    """Return how this worker knows what it may acknowledge, and the loops that keep it."""
    if not config.agent_socket:
        return Unleased(directory.why_old), []
    lease = GrantedLease(
        region=config.region,
        path=config.agent_socket,
        clock=steady_s,
        on_change=holding.wake,
        metrics=metrics,
        on_clock=wall.hear,
    )

    async def measure() -> None:
        while True:
            metrics.lease_remaining.set(lease.remains_s())
            await asyncio.sleep(_MEASURE_S)

    return lease, [lease.run, measure]
