"""``make bench-failover``: does failing over cost the number of placements, or the number of tenants?

Two fleets, each with as many placements, stand side by side: one with few tenants, one with many. In interleaved rounds
the home of each is killed while one write of every placement waits at the other region's door (first written before the
loss, so that the door knows the tenants); the time is from the kill until the last of these writes is acknowledged
there. Then the region is let back and everything is moved home. The limit is printed as met or not met.
Exit codes: 0 measured, 1 something could not be measured, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass, replace

import aiohttp
import msgspec

from bench.command import Say, options, show
from bench.failover_fleet import HOME, OTHER, Failing, failing_fleet
from bench.figures import Spread, Verdict, spread
from bench.run import busy_pct
from bench.write_report import Machine, release_and_time, table, this_machine

LIMIT = 1.2
_WRITABLE_S_MAX = 60.0
_AGAIN_S = 0.05
_AGAIN = (202, 502, 503, 504)


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is compared, and how often."""

    placements: int
    few: int
    many: int
    rounds: int


FULL = Size(placements=100, few=1_000, many=1_000_000, rounds=5)
QUICK = Size(placements=100, few=1_000, many=100_000, rounds=2)


class FailoverReport(msgspec.Struct, frozen=True, kw_only=True):
    """All figures. ``first_s``/``last_s``: from the kill until the first, and the last, placement was written to."""

    release: str
    at: str
    quick: bool
    control: str
    rounds: int
    placements: int
    machine: Machine
    tenants: list[int]
    created_s: list[float]
    first_s: list[Spread]
    last_s: list[Spread]
    each_last_s: list[list[float]]
    ratio: Spread
    verdict: Verdict


async def measure(size: Size, control: str, *, quick: bool, say: Say) -> FailoverReport:
    """Bring both fleets up, fail them over in turns, and compare."""
    busy_before_pct = await busy_pct(1.0)
    pauses_pct: list[float] = []
    firsts: list[list[float]] = [[], []]
    lasts: list[list[float]] = [[], []]
    async with contextlib.AsyncExitStack() as stack:
        fleets = [
            await stack.enter_async_context(failing_fleet(control, size.placements, tenants, say))
            for tenants in (size.few, size.many)
        ]
        for number in range(1, size.rounds + 1):
            order = (0, 1) if number % 2 else (1, 0)
            for which in order:
                pauses_pct.append(await busy_pct(0.5))
                first_s, last_s = await fail_over(fleets[which])
                firsts[which].append(first_s)
                lasts[which].append(last_s)
                say(f"round {number}, {fleets[which].tenants:,} tenants: all writable after {last_s:.2f} s")
                await fleets[which].go_home()
    release, at = release_and_time()
    ratio = spread([many / few for few, many in zip(*lasts, strict=True)])
    over = spread(lasts[1]).median / spread(lasts[0]).median
    return FailoverReport(
        release=release,
        at=at,
        quick=quick,
        control=control,
        rounds=size.rounds,
        placements=size.placements,
        machine=this_machine(busy_before_pct=busy_before_pct, busy_in_pauses_pct=spread(pauses_pct)),
        tenants=[fleet.tenants for fleet in fleets],
        created_s=[fleet.created_s for fleet in fleets],
        first_s=[spread(each) for each in firsts],
        last_s=[spread(each) for each in lasts],
        each_last_s=lasts,
        ratio=ratio,
        verdict=Verdict(
            claim=f"failover of {size.many:,} tenants / of {size.few:,}", value=over, limit=LIMIT, at_least=False
        ),
    )


async def fail_over(fleet: Failing) -> tuple[float, float]:
    """Kill the home; the seconds until the first and the last placement was written to at the other region."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=20)) as http:
        tenants = fleet.one_of_each()
        await asyncio.gather(*(_write(http, fleet, tenant, f"{tenant}-{time.time_ns()}") for tenant in tenants))
        began_s = time.monotonic()
        await asyncio.to_thread(fleet.hold, HOME)
        ended_s = await asyncio.gather(
            *(_write(http, fleet, tenant, f"{tenant}-{time.time_ns()}") for tenant in tenants)
        )
    return min(ended_s) - began_s, max(ended_s) - began_s


async def _write(http: aiohttp.ClientSession, fleet: Failing, tenant: str, key: str) -> float:
    """Write once, patiently, at the other region's door; when it was acknowledged."""
    operation = {"op": "upsert_entity", "entity": {"id": "e--probe", "type": "tool", "name": key}}
    until_s = time.monotonic() + _WRITABLE_S_MAX
    told = "no answer"
    while time.monotonic() < until_s:
        headers = {
            "authorization": f"Bearer {fleet.token(tenant)}",
            "idempotency-key": key,
            "ig-deadline-ms": "15000",
        }
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            url = f"http://127.0.0.1:{fleet.ports[f'{OTHER}/edge']}/v1/changes"
            async with http.post(url, json={"operations": [operation]}, headers=headers) as answer:
                told = f"{answer.status} {await answer.text()}"
                if answer.status == 200:
                    return time.monotonic()
                if answer.status not in _AGAIN:
                    break
        await asyncio.sleep(_AGAIN_S)
    raise RuntimeError(f"{tenant} could not be written to at {OTHER}: {told}")


def lines(report: FailoverReport) -> list[str]:
    """The table, and whether the limit is met."""
    rows = [
        [
            f"{tenants:,}",
            report.first_s[which].text(2),
            report.last_s[which].text(2),
            f"{report.created_s[which]:.1f}",
        ]
        for which, tenants in enumerate(report.tenants)
    ]
    quick = ", a quick look" if report.quick else ""
    return [
        f"IntelGraph {report.release}, {report.at}{quick}",
        f"{report.machine.cpus} CPUs, control store {report.control}; "
        f"CPU used before {report.machine.busy_before_pct:.0f} %, "
        f"in the pauses {report.machine.busy_in_pauses_pct.text()} %",
        "",
        f"{report.placements} placements lose their home; seconds until they are written to elsewhere, medians of "
        f"{report.rounds} rounds (lowest to highest)",
        *table(["tenants", "the first", "all of them", "to create"], rows),
        f"  all of them, round by round, many over few: {report.ratio.text(2)}",
        "",
        report.verdict.text(),
    ]


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = options("failover", "Compare failovers of few and many tenants.", quick="100,000 tenants and two rounds")
    parser.add_argument("--control", choices=["sqlite", "etcd"], default="sqlite", help="the fleets' control store")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    if given.rounds:
        size = replace(size, rounds=given.rounds)
    return show(given, parser.prog, lambda say: measure(size, given.control, quick=given.quick, say=say), lines)


if __name__ == "__main__":
    sys.exit(main())
