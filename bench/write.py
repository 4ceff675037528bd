"""``make bench-write``: how fast writes are, against pgbench calling the same function in the same run.

Three parts, on a fleet of its own that is deleted afterwards: the paths of a write compared, durabilities over links
of several delays, and whether replication keeps up. Limits are printed as met or not met; they never fail the run.
Exit codes: 0 measured, 1 something could not be measured, 130 interrupted.
"""

from __future__ import annotations

import sys

from bench.command import Say, options, show
from bench.compare_durability import compare_durability
from bench.compare_paths import compare_paths
from bench.place import throwaway_fleet
from bench.run import FULL, QUICK, Pace, Run, busy_pct
from bench.sustained import sustain
from bench.write_report import WriteReport, lines, release_and_time, this_machine


async def measure_writes(pace: Pace, *, quick: bool, say: Say) -> WriteReport:
    """Run the three parts."""
    busy_before_pct = await busy_pct(1.0)
    async with throwaway_fleet(say) as place:
        run = Run(place=place, pace=pace, say=say)
        paths = await compare_paths(run)
        durability = await compare_durability(run)
        sustained = await sustain(run)
        release, at = release_and_time()
        return WriteReport(
            release=release,
            at=at,
            quick=quick,
            rounds=pace.rounds,
            seconds_a_round=pace.seconds,
            machine=this_machine(busy_before_pct=busy_before_pct, busy_in_pauses_pct=run.busy_in_pauses()),
            paths=paths,
            durability=durability,
            sustained=sustained,
        )


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = options("write", "Measure writes. About five minutes.", quick="a short run, for a look: under two minutes")
    given = parser.parse_args()
    pace = QUICK if given.quick else FULL
    return show(given, parser.prog, lambda say: measure_writes(pace, quick=given.quick, say=say), lines)


if __name__ == "__main__":
    sys.exit(main())
