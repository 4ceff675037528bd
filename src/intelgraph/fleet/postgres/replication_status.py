"""Each region's own account of its log: positions, and how far its streams to and from the others are. For `status`.

Lag is the age of the newest of the region's own echo tokens that came back through another region's log, on this
machine's monotonic clock: what a reader here may be behind a writer there.
"""

from __future__ import annotations

import asyncio
import json
import time

import msgspec

from intelgraph.changelog import links
from intelgraph.changelog.feed.status import SubscriberStatus, read_subscribers
from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.postgres import server as postgres
from intelgraph.fleet.postgres.server import server_of
from intelgraph.model.errors import why_no_answer

_TIMEOUT_S = 3.0


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """To and from one other region. ``kept_bytes`` is log kept until it has it; ``echo_lag_ms`` is from it to here."""

    destination: str
    active: bool
    lost: bool
    kept_bytes: int | None
    echo_lag_ms: float | None


class RegionLog(msgspec.Struct, frozen=True, kw_only=True):
    """One region's log; ``refusal`` says why nothing is known of it."""

    region: str
    refusal: str | None = None
    life: int | None = None
    position: int | None = None
    settled: int | None = None
    troubles: int | None = None
    streams: list[Stream] = []
    subscribers: list[SubscriberStatus] = []


def read_region_logs(fleet: Fleet) -> list[RegionLog]:
    """Ask every region's database at once; takes at most three seconds and raises nothing of theirs."""

    async def all_regions() -> list[RegionLog]:
        return await asyncio.gather(*(_read(fleet, region.name) for region in fleet.topology.regions))

    return asyncio.run(all_regions())


async def _read(fleet: Fleet, region: str) -> RegionLog:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await _ask(fleet, region)
    except DRIVER_ERRORS as error:
        return RegionLog(region=region, refusal=f"its database does not tell: {why_no_answer(error)}")


async def _ask(fleet: Fleet, region: str) -> RegionLog:
    connection = await connect(server_of(fleet, region).login(postgres.ADMIN), timeout_s=_TIMEOUT_S)
    try:
        told = json.loads(await connection.fetchval("SELECT ig.report()::text"))
        now_ns = time.monotonic_ns()
        others = [other.name for other in fleet.topology.regions if other.name != region]
        subscribers = await read_subscribers(connection)
        outgoing = await links.outgoing_links(connection, here=region, destinations=others)
    finally:
        connection.terminate()
    streams = []
    for link in outgoing:
        token_ns = told["peers"].get(link.destination, {}).get("token_ns")
        streams.append(
            Stream(
                destination=link.destination,
                active=link.active,
                lost=link.lost,
                kept_bytes=link.lag_bytes,
                echo_lag_ms=None if token_ns is None else max(0.0, (now_ns - token_ns) / 1e6),
            )
        )
    return RegionLog(
        region=region,
        life=told["life"],
        position=told["position"],
        settled=told["settled"].get(f"{region}/{told['life']}", 0),
        troubles=told["troubles"],
        streams=streams,
        subscribers=subscribers,
    )
