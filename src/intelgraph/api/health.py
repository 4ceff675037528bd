"""``/healthz``, ``/readyz``, ``/openapi.json``: for machines that watch, without a token.

``/healthz`` says that the process answers. ``/readyz`` says whether it can serve, and if not why: the database, the
log's schema, the directory, the feed; and in ``limits`` what it serves less well than it should, which its region's
agent tells it. ``/readyz?writes`` says whether a write gets through it: by a new login and a commit; and what the
worker that answers lacks, for the agent, which asks.
RESIDENCY: none of them names a tenant, a placement or an id.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib.resources import files

import orjson

from intelgraph.api.door import Door
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Response
from intelgraph.model.errors import IntelGraphError

BELIEVED_S = 0.2
FEED_ABSENT_MAX_S = 10.0
# What Envoy's health check reads: the region gets requests only where no other takes them.
_PASSED_OVER = (b"x-envoy-degraded", b"true")


async def alive(door: Door, request: Request) -> Response:
    """``GET /healthz``."""
    return Response(status=200, body=b'{"alive":true}')


async def ready(door: Door, request: Request) -> Response:
    """``GET /readyz``: 200 when every check passes, else 503 with the reasons; ``?writes``: does a write pass?"""
    if request.query_string == b"writes":
        return await _writes(door)
    checks = await door.readiness.checks(door)
    failed = {name: why for name, why in checks.items() if why is not None}
    body = orjson.dumps(
        {
            "ready": not failed,
            "region": door.region,
            "release": door.release,
            "checks": checks,
            "limits": _limits(door),
        }
    )
    headers = [(b"retry-after", b"1")] if failed else []
    if door.lease.is_passed_over():
        headers.append(_PASSED_OVER)
    return Response(status=503 if failed else 200, body=body, headers=headers)


async def _writes(door: Door) -> Response:
    """200 when a write gets through this worker to its database, else 503 with the reason."""
    why = await door.write_probe.why_not()
    told = {"writes": why is None, "region": door.region, "limits": _own_limits(door)}
    if why is None:
        return Response(status=200, body=orjson.dumps(told))
    body = orjson.dumps(told | {"code": why.code, "reason": why.reason})
    return Response(status=503, body=body, headers=[(b"retry-after", b"1")])


def _limits(door: Door) -> dict[str, str]:
    """Say what this region serves less well than it should, though it serves."""
    limits = dict(door.lease.limits())
    old = door.directory.why_old()
    if old is not None:
        limits["directory"] = f"{old}; reads go on, and writes for as long as the lease lasts"
    if door.lease.remains_s() <= 0:
        limits["lease"] = "this region has no lease now: writes are held, and refused when their time is over"
    return limits | _own_limits(door)


def _own_limits(door: Door) -> dict[str, str]:
    """Say what this worker itself lacks, which nobody else can know; its region's agent reports it."""
    limits = {}
    for name, why in (
        ("keys", door.authenticator.why_limited()),
        ("streams", door.streams.why_used_up()),
        ("bodies", door.bodies.why_used_up() or door.body_bytes.why_used_up()),
        ("connections", door.connections.why_used_up()),
    ):
        if why is not None:
            limits[name] = why
    return limits


async def openapi(door: Door, request: Request) -> Response:
    """``GET /openapi.json``."""
    return Response(status=200, body=files("intelgraph.api").joinpath("openapi.json").read_bytes())


@dataclass(kw_only=True)
class Readiness:
    """The last look, believed for ``BELIEVED_S``, and since when the feed has not been seen at work."""

    _looked_at: float = float("-inf")
    _found: dict[str, str | None] = field(default_factory=dict)
    _feed_seen_at: float = field(default_factory=time.monotonic)

    async def checks(self, door: Door) -> dict[str, str | None]:
        """Return each check's name and, where it fails, why."""
        if time.monotonic() - self._looked_at >= BELIEVED_S:
            self._found = await self._look(door)
            self._looked_at = time.monotonic()
        return self._found

    async def _look(self, door: Door) -> dict[str, str | None]:
        found: dict[str, str | None] = {
            "database": None,
            "directory": door.directory.why_unreadable(),
            "feed": None,
        }
        try:
            feed_works = await door.database.probe()
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
