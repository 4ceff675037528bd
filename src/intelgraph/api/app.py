"""The application of one worker: a request in, whatever its handler returns or raises out as one answer.

Every answer is counted and logged. Nothing leaves as an unhandled failure: what is not a refusal of ours answers 500
``internal`` and is logged by type and place.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from functools import partial

import msgspec

from intelgraph import __version__
from intelgraph.api.http import problem
from intelgraph.api.http.connection import Connection
from intelgraph.api.http.connections import Connections
from intelgraph.api.http.cors import Cors
from intelgraph.api.http.lifeline import Lifeline
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Answer, Header, Response
from intelgraph.api.policy import WorkerPolicy
from intelgraph.api.routes import UNROUTED, Route, find_handler
from intelgraph.api.services import Services, compose
from intelgraph.model.errors import IntelGraphError
from intelgraph.runtime.loops import Loops
from intelgraph.settings import RegionConfig

# Writes are acknowledged with less durability than was declared, until a standby has caught up.
_DEGRADED: Header = (b"ig-degraded", b"standby_lost")


class App:
    """One worker's application. Its services are made when the server says that it starts."""

    def __init__(self, config: RegionConfig, policy: WorkerPolicy, lifeline: Lifeline) -> None:
        self._config = config
        self._policy = policy
        self._lifeline = lifeline
        self._cors = Cors(config.api.allowed_origins)
        self._every: list[Header] = [
            (b"ig-region", config.region.encode()),
            (b"ig-release", __version__.encode()),
            *self._cors.every,
        ]
        self._services: Services | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> Connections:
        """Make the services of this worker."""
        sys.setswitchinterval(self._policy.planner_thread.switch_s)
        services = self._services = await compose(self._config, self._policy)
        connections = Connections(
            partial(self._serve, services),
            self._every,
            policy=self._policy.http,
            on_sweep=partial(_report_connections, services),
        )

        def begin_stop() -> None:
            connections.last_answers = True
            services.begin_stop()

        self._lifeline.hold(begin_stop)
        loops = Loops(retry_s=1.0, on_failure=lambda name, error: services.log.failure("loop_failed", error, loop=name))
        self._tasks += [asyncio.create_task(loops.keep(loop.__qualname__, loop)) for loop in services.loops]
        services.log.write("started")
        return connections

    async def stop(self) -> None:
        """End them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._services is not None:
            await self._services.stop()

    async def _serve(self, services: Services, connection: Connection, request: Request) -> None:
        """Answer one request."""
        began = time.perf_counter()
        route = services.routes.find(request)
        services.metrics.in_flight += 1
        status: int = 499
        code: str | None = "client_gone"
        try:
            answer = await self._answer(services, request, route)
            if not services.directory.is_current:
                answer = _with(answer, _directory_age(services))
            if request.is_degraded and _DEGRADED not in answer.headers:  # a home that was handed a write says it itself
                answer = _with(answer, [_DEGRADED])
            if b"origin" in request.headers:
                answer = _with(answer, self._cors.headers(request))
            if isinstance(answer, Response):
                if not connection.gone:
                    connection.respond(request, answer)
                    if len(answer.body) > self._policy.unread.counted_from_bytes:
                        connection.when_taken(services.outgoing.hold(request.tenant, len(answer.body)))
                    status, code = answer.status, answer.code
            else:
                if not connection.gone:
                    status, code = 200, None
                    await connection.stream(request, answer)
        except Exception as error:
            services.log.failure("stream_failed", error, request_id=request.id.decode())
            if status == 499:
                connection.abort()  # nothing was said, and nothing can be
        finally:
            request.end()
            connection.finish(request)
            seconds = time.perf_counter() - began
            told = (_method_label(request, route), route.template, status, code)
            services.metrics.in_flight -= 1
            services.metrics.answered(told, seconds)
            services.log.request(told, request.id, seconds)

    async def _answer(self, services: Services, request: Request, route: Route) -> Answer:
        try:
            if request.method == "OPTIONS" and request.flaw is None and route is not UNROUTED:
                return self._cors.preflight(request, route.allow)
            return await find_handler(route, request)(request)
        except IntelGraphError as error:
            answer = problem.of_error(error)
            if answer.status == 405:
                answer.headers.append((b"allow", route.allow))
            if answer.status == 500:
                services.log.failure("unknown_code", error, request_id=request.id.decode(), code=error.denied.code)
            return answer
        except Exception as error:
            services.log.failure("request_failed", error, request_id=request.id.decode(), route=route.template)
            return problem.of_denied(problem.INTERNAL)


def _directory_age(services: Services) -> list[Header]:
    """Return the header that says how old the directory is by which an answer was given."""
    age_s = services.directory.age_s()
    return [(b"ig-directory-age-ms", b"%d" % (age_s * 1000))] if age_s < float("inf") else []


def _report_connections(services: Services, open_now: int, refused: int) -> None:
    services.connections.report(open_now, refused)
    services.metrics.quota.labels("connections").set(open_now)
    if refused:
        services.metrics.quota_refusals.labels("connections").inc(refused)


def _method_label(request: Request, route: Route) -> str:
    method = "HEAD" if request.bodiless else request.method
    return method if method in route.methods else "other"


def _with(answer: Answer, headers: list[Header]) -> Answer:
    """Return an answer with more headers; the one that was given may be another request's too."""
    if isinstance(answer, Response):
        return msgspec.structs.replace(answer, headers=[*answer.headers, *headers])
    return dataclasses.replace(answer, headers=[*answer.headers, *headers])
