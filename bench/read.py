"""``make bench-read``: how fast questions are answered, against other GraphQL servers over the same tables.

IntelGraph checks a token, sets row-level security and holds its limits for every request; the others do none of it.
All of them write through the log.
All answers are compared first. Limits are printed as met or not met; they never fail the run. Exit codes: 0 measured,
1 something could not be measured, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bench.command import Say, options, show
from bench.figures import spread
from bench.read_contestants import CONTESTANTS, start
from bench.read_equal import verify
from bench.read_node import PEERS
from bench.read_queries import BY_NAME, WRITE
from bench.read_report import Conditions, ReadReport, lines
from bench.read_run import FULL, IN_FLIGHT, QUICK, Rounds, verdicts
from bench.read_site import CONNECTIONS, Site, throwaway_site
from bench.run import busy_pct
from bench.write_report import release_and_time, this_machine
from intelgraph.connection import connect


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a run is to measure: which contests (none named: all), at which pace, bound to CPUs or not."""

    only: Sequence[str]
    quick: bool
    pinned: bool


async def measure_reads(wanted: Wanted, say: Say) -> ReadReport:
    """Start everybody, compare their answers, run the rounds."""
    pace = QUICK if wanted.quick else FULL
    busy_before_pct = await busy_pct(1.0)
    async with throwaway_site(say, pinned=wanted.pinned) as site:
        running = []
        for contestant in CONTESTANTS:
            say(f"starting {contestant.name}")
            running.append(await start(site, contestant))
        say("comparing their answers")
        compared = await verify(running)
        say(f"{compared:,} answers are equal")
        rounds = Rounds(site=site, running=running, pace=pace, say=say)
        contests = await rounds.contests(wanted.only)
        release, at = release_and_time()
        return ReadReport(
            release=release,
            at=at,
            quick=wanted.quick,
            rounds=pace.rounds,
            seconds_a_round=pace.seconds,
            machine=this_machine(busy_before_pct=busy_before_pct, busy_in_pauses_pct=spread(rounds.pauses_busy_pct)),
            versions=json.loads((PEERS / "package.json").read_bytes())["dependencies"],
            conditions=await _conditions(site),
            answers_compared=compared,
            contests=contests,
            verdicts=verdicts(contests),
        )


async def _conditions(site: Site) -> Conditions:
    connection = await connect(site.peer_login)
    try:
        plans, commit = [
            await connection.fetchval(f"show {name}") for name in ("plan_cache_mode", "synchronous_commit")
        ]
    finally:
        await connection.close()
    return Conditions(
        plan_cache_mode=plans,
        synchronous_commit=commit,
        connections=CONNECTIONS,
        in_flight=IN_FLIGHT,
        server_cpu=site.pins.server,
        rest_cpu=site.pins.rest,
    )


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = options("read", "Measure reads. About eight minutes.", quick="a short run, for a look: some two minutes")
    parser.add_argument(
        "--pinned", action="store_true", help="the measured server alone on one CPU, the rest on another"
    )
    names = [*BY_NAME, WRITE]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="these contests, not all of them")
    given = parser.parse_args()
    wanted = Wanted(only=given.only, quick=given.quick, pinned=given.pinned)
    return show(given, parser.prog, lambda say: measure_reads(wanted, say), lines)


if __name__ == "__main__":
    sys.exit(main())
