"""``make bench-read``: how fast questions are answered, against other GraphQL servers over the same tables.

IntelGraph checks a token, sets row-level security and holds its limits for every request; the others do none of it.
All answers are compared first. Limits are printed as met or not met; they never fail the run. Exit codes: 0 measured,
1 something could not be measured, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.figures import spread
from bench.read_contestants import CONTESTANTS, start
from bench.read_equal import verify
from bench.read_node import PEERS
from bench.read_report import Conditions, ReadReport, lines
from bench.read_run import FULL, IN_FLIGHT, QUICK, ReadPace, Rounds, verdicts
from bench.read_site import CONNECTIONS, Site, throwaway_site
from bench.run import busy_pct
from bench.write import interruptible, progress
from bench.write_report import release_and_time, this_machine
from intelgraph.connection import connect


async def measure_reads(pace: ReadPace, *, quick: bool, say: Callable[[str], None]) -> ReadReport:
    """Start everybody, compare their answers, run the rounds."""
    busy_before_pct = await busy_pct(1.0)
    async with throwaway_site(say) as site:
        running = []
        for contestant in CONTESTANTS:
            say(f"starting {contestant.name}")
            running.append(await start(site, contestant))
        say("comparing their answers")
        compared = await verify(running)
        say(f"{compared:,} answers are equal")
        rounds = Rounds(site=site, running=running, pace=pace, say=say)
        contests = await rounds.contests()
        release, at = release_and_time()
        return ReadReport(
            release=release,
            at=at,
            quick=quick,
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
    parser = argparse.ArgumentParser(prog="bench.read", description="Measure reads. About seven minutes.")
    parser.add_argument("--quick", action="store_true", help="a short run, for a look: under two minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure here too")
    arguments = parser.parse_args()
    pace = QUICK if arguments.quick else FULL
    try:
        report = asyncio.run(interruptible(measure_reads(pace, quick=arguments.quick, say=progress())))
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("interrupted: everything is stopped and its data deleted", file=sys.stderr)
        return 130
    except Exception as error:
        print(f"bench.read: could not measure: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines(report)))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
