"""``make bench-idle``: the processor time that a fleet of two regions takes while nobody asks it anything.

Counted by the kernel for every process of the fleet and all that each has started, over 60 s; every kind of part by
itself. Limits are printed as met or not met; they never fail the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter

import psutil
from msgspec import Struct

from bench.command import Say, options, show
from bench.figures import Spread, Verdict, spread
from bench.place import Place, throwaway_fleet
from bench.write_report import release_and_time
from intelgraph.fleet.composition.parts import all_parts, mark
from intelgraph.fleet.supervisor.process import survey
from intelgraph.fleet.supervisor.supervision import SUPERVISOR

LIMIT = 12.0
_SETTLED_AFTER_S = 20.0


class IdleReport(Struct, frozen=True, kw_only=True):
    """One run: percent of one core, of each kind of part and of all, over rounds."""

    release: str
    at: str
    rounds: int
    seconds: float
    others: Spread
    kinds: dict[str, Spread]
    verdicts: list[Verdict]


def _families(place: Place) -> dict[str, list[psutil.Process]]:
    """The processes of each part, by kind."""
    kinds = {mark(place.fleet, part.name): part.kind.value for part in all_parts(place.fleet)}
    kinds[mark(place.fleet, SUPERVISOR)] = SUPERVISOR
    found: dict[str, dict[int, psutil.Process]] = {}
    for carried, identities in survey(kinds).items():
        family = found.setdefault(kinds[carried], {})
        for identity in identities:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(identity.pid)
                # PostgreSQL's processes write their titles over the environment that carries the mark.
                started = [] if kinds[carried] == SUPERVISOR else process.children(recursive=True)
                family |= {each.pid: each for each in (process, *started)}
    return {kind: list(family.values()) for kind, family in found.items()}


def _used_s(place: Place) -> Counter[str]:
    """Processor seconds so far, by kind: of what runs, and of what has ended and was its child."""
    used: Counter[str] = Counter()
    for kind, family in _families(place).items():
        for process in family:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used[kind] += times.user + times.system
                if kind != SUPERVISOR:  # its children are the other parts
                    used[kind] += times.children_user + times.children_system
    return used


def _busy_s() -> float:
    times = psutil.cpu_times()
    idle: float = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "guest", 0.0)
    return float(sum(times)) - idle


async def measure_idle(rounds: int, seconds: float, say: Say) -> IdleReport:
    """Measure a fleet of its own; nothing else should run."""
    shares: dict[str, list[float]] = {}
    others: list[float] = []
    async with throwaway_fleet(say) as place:
        await place.home.close()
        await place.other.close()
        say(f"waiting {_SETTLED_AFTER_S:g} s, until it has settled")
        await asyncio.sleep(_SETTLED_AFTER_S)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}: {seconds:g} s")
            before, busy_s = _used_s(place), _busy_s()
            await asyncio.sleep(seconds)
            used = _used_s(place)
            used.subtract(before)
            for kind, used_s in used.items():
                shares.setdefault(kind, []).append(100 * used_s / seconds)
            shares.setdefault("all", []).append(100 * used.total() / seconds)
            others.append(100 * (_busy_s() - busy_s - used.total()) / seconds)
    release, at = release_and_time()
    kinds = {kind: spread(values) for kind, values in shares.items()}
    verdict = Verdict(
        claim="of one core, by a fleet of two regions that nobody asks anything",
        value=kinds["all"].median, limit=LIMIT, at_least=False, unit="%",
    )  # fmt: skip
    return IdleReport(
        release=release, at=at, rounds=rounds, seconds=seconds, others=spread(others), kinds=kinds, verdicts=[verdict]
    )  # fmt: skip


def lines(report: IdleReport) -> list[str]:
    """The report as text."""
    dearest_first = sorted(report.kinds.items(), key=lambda entry: -entry[1].median)
    return [
        f"IntelGraph {report.release}, {report.at}; medians of {report.rounds} rounds of {report.seconds:g} s",
        "percent of one core (lowest to highest)",
        *(f"  {kind:<12} {share.text(1)}" for kind, share in dearest_first),
        f"  {'(not ours)':<12} {report.others.text(1)}",
        "Limits",
        *(f"  {verdict.text()}" for verdict in report.verdicts),
    ]


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = options("idle", "Measure an idle fleet. About five minutes.", quick="one round of 20 s")
    given = parser.parse_args()
    rounds, seconds = (1, 20.0) if given.quick else (3, 60.0)
    return show(given, parser.prog, lambda say: measure_idle(rounds, seconds, say), lines)


if __name__ == "__main__":
    sys.exit(main())
