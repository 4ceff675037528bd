"""``make bench-write``: how fast writes are, against pgbench calling the same function in the same run.

Three parts, on a fleet of its own that is deleted afterwards: the paths of a write compared, durabilities over links
of several delays, and whether replication keeps up. Limits are printed as met or not met; they never fail the run.
Exit codes: 0 measured, 1 something could not be measured, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.compare_durability import compare_durability
from bench.compare_paths import compare_paths
from bench.place import throwaway_fleet
from bench.run import FULL, QUICK, Pace, Run, busy_pct
from bench.sustained import sustain
from bench.write_report import WriteReport, lines, release_and_time, this_machine

R = TypeVar("R")


async def measure_writes(pace: Pace, *, quick: bool, say: Callable[[str], None]) -> WriteReport:
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


async def interruptible(measuring: Coroutine[Any, Any, R]) -> R:
    """Measure until the end or the first signal, which cancels it so that everything is taken away in order."""
    task = asyncio.ensure_future(measuring)

    def interrupt() -> None:
        # Once: a second Ctrl-C must not keep the fleet from being stopped.
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    return await task


def progress() -> Callable[[str], None]:
    """Say things to the terminal, with the time since the start."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    return say


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="bench.write", description="Measure writes. About five minutes.")
    parser.add_argument("--quick", action="store_true", help="a short run, for a look: under two minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure here too")
    arguments = parser.parse_args()
    pace = QUICK if arguments.quick else FULL
    try:
        report = asyncio.run(interruptible(measure_writes(pace, quick=arguments.quick, say=progress())))
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("interrupted: the fleet is stopped and its data deleted", file=sys.stderr)
        return 130
    except Exception as error:
        print(f"bench.write: could not measure: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines(report)))
    if arguments.json:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
