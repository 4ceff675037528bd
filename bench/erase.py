"""``make bench-erase``: what the erasure of an entity with very many relationships costs another tenant's writes.

Against a throwaway fleet of two regions. Both tenants live in one placement, because an erasure takes its placement's
lock. Each round erases another entity. Limits are printed as met or not met; they never fail the run.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time

from msgspec import Struct

from bench.command import Say, options, show
from bench.figures import Spread, Verdict, percentile, spread
from bench.http_wire import fixed_head, open_wire
from bench.place import EPOCH, FAST, HOME, Place, intelgraph, throwaway_fleet
from bench.write_report import release_and_time
from intelgraph.api.database.database import APPEND, Database
from intelgraph.settings import ApiPolicy

NEIGHBOR = "neighbor"
_TOGETHER = 1_000
_ERASED_WITHIN_S = 120.0
_ALONE_S = 5.0


class EraseReport(Struct, frozen=True, kw_only=True):
    """One run. ``alone_ms`` and ``beside_ms``: p99 of the neighbor's writes; ``erase_s``: until the answer was "ok"."""

    release: str
    at: str
    rounds: int
    edges: int
    alone_ms: Spread
    beside_ms: Spread
    slowest_ms: Spread
    erase_s: Spread
    arrived_s: Spread
    verdicts: list[Verdict]


async def _grow(place: Place, name: str, edges: int) -> None:
    """Give ``FAST`` an entity with so many relationships, half of them to it."""
    database = Database(place.login, ApiPolicy(pool_connections_max=1))
    await database.start()
    try:
        leaf = f"{name}-leaf"
        ends = [{"op": "upsert_entity", "entity": {"id": id_, "type": "tool", "name": id_}} for id_ in (name, leaf)]
        batches = [ends] + [
            [
                {"op": "upsert_relationship", "relationship": {
                    "id": f"{name}/{n}", "type": "uses",
                    "source": name if n % 2 else leaf, "target": leaf if n % 2 else name}}
                for n in range(first, min(first + _TOGETHER, edges))
            ]
            for first in range(0, edges, _TOGETHER)
        ]  # fmt: skip
        for number, operations in enumerate(batches):
            asked = json.dumps(operations).encode()
            answer = json.loads(await database.call(APPEND, FAST, EPOCH, FAST, f"{name}/{number}", b"grow", asked))
            if answer["status"] != "ok":
                raise RuntimeError(f"the entity could not be written: {answer}")
    finally:
        await database.stop()
    await place.drain()


async def _write(port: int, token: str, stop: asyncio.Event) -> list[float]:
    """Write small entities one after the other until told to stop; milliseconds of each."""
    wire, found = await open_wire("127.0.0.1", port), []
    for n in itertools.count():
        if stop.is_set():
            break
        body = json.dumps({"operations": [{"op": "upsert_entity", "entity": {
            "id": f"small-{n % 100}", "type": "tool", "name": "small"}}]}).encode()  # fmt: skip
        began = time.perf_counter()
        status, told = await wire.post(fixed_head("/v1/changes", token), f"{began}", body)
        if status != 200:
            raise RuntimeError(f"a small write was answered {status}: {told[:200]!r}")
        found.append((time.perf_counter() - began) * 1000)
    wire.close()
    return found


async def _erase(port: int, token: str, name: str) -> float:
    """Erase, repeating the request while it says that it goes on; seconds until it is done."""
    body = json.dumps({"operations": [{"op": "erase", "ids": [name]}]}).encode()
    wire, began = await open_wire("127.0.0.1", port), time.perf_counter()
    while True:
        status, told = await wire.post(fixed_head("/v1/changes", token), f"erase-{name}", body)
        if status == 200:
            break
        if json.loads(told)["code"] != "removal_goes_on" or time.perf_counter() > began + _ERASED_WITHIN_S:
            raise RuntimeError(f"the erasure was answered {status}: {told[:200]!r}")
    wire.close()
    return time.perf_counter() - began


async def _gone(place: Place, name: str) -> float:
    """Wait until the other region has nothing of it; returns the seconds that this took."""
    took = await place.drain()
    left = await place.other.fetchval(
        "select (select count(*) from ig.entity where tenant = $1 and id = $2) + (select count(*) from ig.relationship"
        " where tenant = $1 and $2 in (source, target) and not deleted)", FAST, name)  # fmt: skip
    if left:
        raise RuntimeError(f"{left} objects of {name} are left in the other region")
    return took


async def measure_erase(rounds: int, edges: int, say: Say) -> EraseReport:
    """Run the rounds."""
    alone, beside, slowest, took, arrived = [], [], [], [], []
    async with throwaway_fleet(say) as place:
        await intelgraph(place.topology, "tenant", "create", NEIGHBOR, "--placement", FAST)
        asked = ("token", "--tenant", NEIGHBOR, "--role", "writer", "--ttl", "4h", "--json")
        token = json.loads(await intelgraph(place.topology, *asked))["token"]
        port = place.fleet.ports[f"{HOME}/api"]
        for number in range(rounds):
            name = f"hub-{number}"
            say(f"round {number + 1}: writing {edges:,} relationships")
            await _grow(place, name, edges)
            stop = asyncio.Event()
            writing = asyncio.create_task(_write(port, token, stop))
            await asyncio.sleep(_ALONE_S)
            stop.set()
            alone.append(percentile(sorted(await writing), 0.99))
            stop = asyncio.Event()
            writing = asyncio.create_task(_write(port, token, stop))
            took.append(await _erase(port, place.tokens[FAST], name))
            stop.set()
            times = sorted(await writing)
            beside.append(percentile(times, 0.99))
            slowest.append(times[-1])
            arrived.append(await _gone(place, name))
    release, at = release_and_time()
    p99 = spread(beside)
    verdict = Verdict(
        claim="p99 of another tenant's writes while it is erased",
        value=p99.median,
        limit=200,
        at_least=False,
        unit="ms",
    )
    return EraseReport(
        release=release, at=at, rounds=rounds, edges=edges, alone_ms=spread(alone), beside_ms=p99,
        slowest_ms=spread(slowest), erase_s=spread(took), arrived_s=spread(arrived), verdicts=[verdict],
    )  # fmt: skip


def lines(report: EraseReport) -> list[str]:
    """The report as text."""
    return [
        f"IntelGraph {report.release}, {report.at}; medians of {report.rounds} rounds (lowest to highest)",
        f"an entity with {report.edges:,} relationships is erased; another tenant of the placement writes one by one",
        f"  p99 of its writes before, ms       {report.alone_ms.text(1)}",
        f"  p99 of its writes meanwhile, ms    {report.beside_ms.text(1)}",
        f"  its slowest write meanwhile, ms    {report.slowest_ms.text(1)}",
        f"  until the erasure was answered, s  {report.erase_s.text(1)}",
        f"  until the other region had it, s   {report.arrived_s.text(1)} more",
        "Limits",
        *(f"  {verdict.text()}" for verdict in report.verdicts),
    ]


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = options("erase", "Measure an erasure. About three minutes.", quick="one round of 10,000 relationships")
    given = parser.parse_args()
    rounds, edges = (1, 10_000) if given.quick else (3, 50_000)
    return show(given, parser.prog, lambda say: measure_erase(rounds, edges, say), lines)


if __name__ == "__main__":
    sys.exit(main())
