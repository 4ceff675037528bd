"""``/healthz``, ``/readyz``, ``/openapi.json``: for machines that watch, without a token.

``/healthz`` says that the process answers. ``/readyz`` says whether it can serve, and if not why: the database, the
log's schema, the directory, the feed; and in ``limits`` what it serves less well than it should, which its region's
agent tells it. ``/readyz?writes`` says whether a write gets through it: by a new login and a commit; and what the
worker that answers lacks, for the agent, which asks.
RESIDENCY: none of them names a tenant, a placement or an id.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files

import orjson

from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Response
from intelgraph.api.write.durability import LeaseCheck
from intelgraph.api.write.probe import WriteProbe
from intelgraph.control.directory.cache import CachedDirectory
from intelgraph.model.errors import IntelGraphError

BELIEVED_S = 0.2
FEED_ABSENT_MAX_S = 10.0
# What Envoy's health check reads: the region gets requests only where no other takes them.
_PASSED_OVER = (b"x-envoy-degraded", b"true")


@dataclass(frozen=True, kw_only=True)
class Health:
    """The handlers of one worker for machines that watch.

    ``own_limits``: by name, what says what this worker itself lacks, which nobody else can know; its region's agent
    reports it.
    """

    region: str
    release: str
    readiness: Readiness
    lease: LeaseCheck
    write_probe: WriteProbe
    directory: CachedDirectory
    own_limits: Mapping[str, Callable[[], str | None]]

    async def alive(self, request: Request) -> Response:
        """``GET /healthz``."""
        return Response(status=200, body=b'{"alive":true}')

    async def ready(self, request: Request) -> Response:
        """``GET /readyz``: 200 when every check passes, else 503 with the reasons; ``?writes``: does a write pass?"""
        if request.query_string == b"writes":
            return await self._writes()
        checks = await self.readiness.checks()
        failed = {name: why for name, why in checks.items() if why is not None}
        body = orjson.dumps(
            {
                "ready": not failed,
                "region": self.region,
                "release": self.release,
                "checks": checks,
                "limits": self._limits(),
            }
        )
        headers = [(b"retry-after", b"1")] if failed else []
        if self.lease.is_passed_over():
            headers.append(_PASSED_OVER)
        return Response(status=503 if failed else 200, body=body, headers=headers)

    async def openapi(self, request: Request) -> Response:
        """``GET /openapi.json``."""
        return Response(status=200, body=files("intelgraph.api").joinpath("openapi.json").read_bytes())

    async def _writes(self) -> Response:
        """200 when a write gets through this worker to its database, else 503 with the reason."""
        why = await self.write_probe.why_not()
        told = {"writes": why is None, "region": self.region, "limits": self._own_limits()}
        if why is None:
            return Response(status=200, body=orjson.dumps(told))
        body = orjson.dumps(told | {"code": why.code, "reason": why.reason})
        return Response(status=503, body=body, headers=[(b"retry-after", b"1")])

    def _limits(self) -> dict[str, str]:
        """Say what this region serves less well than it should, though it serves."""
        limits = dict(self.lease.limits())
        old = self.directory.why_old()
        if old is not None:
            limits["directory"] = f"{old}; reads go on, and writes for as long as the lease lasts"
        if self.lease.remains_s() <= 0:
            limits["lease"] = "this region has no lease now: writes are held, and refused when their time is over"
        return limits | self._own_limits()

    def _own_limits(self) -> dict[str, str]:
        return {name: why for name, tell in self.own_limits.items() if (why := tell()) is not None}


class Readiness:
    """The last look, believed for ``BELIEVED_S``, and since when the feed has not been seen at work.

    ``probe`` asks the database whether a feed is at work; ``why_unreadable`` says why not even reads are served from
    the directory.
    """

    def __init__(self, *, probe: Callable[[], Awaitable[bool]], why_unreadable: Callable[[], str | None]) -> None:
        self._probe = probe
        self._why_unreadable = why_unreadable
        self._looked_at = float("-inf")
        self._found: dict[str, str | None] = {}
        self._feed_seen_at = time.monotonic()

    async def checks(self) -> dict[str, str | None]:
        """Return each check's name and, where it fails, why."""
        if time.monotonic() - self._looked_at >= BELIEVED_S:
            self._found = await self._look()
            self._looked_at = time.monotonic()
        return self._found

    async def _look(self) -> dict[str, str | None]:
        found: dict[str, str | None] = {
            "database": None,
            "directory": self._why_unreadable(),
            "feed": None,
        }
        try:
            feed_works = await self._probe()
        except IntelGraphError as error:
            found["database"] = error.denied.reason
            return found
        now = time.monotonic()
        if feed_works:
            self._feed_seen_at = now
        elif now - self._feed_seen_at > FEED_ABSENT_MAX_S:
            found["feed"] = (
                f"no feed has been at work for {now - self._feed_seen_at:.0f} s; the bound is {FEED_ABSENT_MAX_S:g} s"
            )
        return found
