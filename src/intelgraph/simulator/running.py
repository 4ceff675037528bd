"""Many schedules over the machine's cores, and what they came to: violations by seed, coverage, figures.

A schedule depends on its seed alone, so that the number of processes changes nothing; a violation is shown again by
its seed (`replay`).
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from intelgraph.simulator.faults import FAULTS
from intelgraph.simulator.schedule import Outcome, Schedule, run, schedule, shortest

BATCH = 50
BATCHES_A_PROCESS = 4
"""What schedules leave behind is never collected in a process of its own, which ends after so many batches."""


@dataclass(kw_only=True)
class Summary:
    """What many schedules came to."""

    schedules: int = 0
    operations_min: int = 0
    operations: int = 0
    seconds_min: float = 0.0
    faults_min: int = 0
    faults: int = 0
    events: int = 0
    epochs: int = 0
    took_s: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    coverage: Counter[tuple[str, str]] = field(default_factory=Counter)
    violations: list[tuple[int, str, str, float]] = field(default_factory=list)
    """Seed, promise, what was seen, when."""

    def add(self, outcome: Outcome) -> None:
        """Count one schedule."""
        first = self.schedules == 0
        self.schedules += 1
        self.operations += outcome.operations
        self.faults += outcome.faults
        self.events += outcome.events
        self.epochs += outcome.epochs
        self.answers.update(outcome.answers)
        self.coverage.update(outcome.coverage)
        if outcome.promise is not None:
            self.violations.append((outcome.seed, outcome.promise, outcome.what, outcome.at_s))
            return
        self.operations_min = outcome.operations if first else min(self.operations_min, outcome.operations)
        self.faults_min = outcome.faults if first else min(self.faults_min, outcome.faults)
        self.seconds_min = outcome.at_s if first else min(self.seconds_min, outcome.at_s)

    def as_json(self) -> dict[str, Any]:
        """The summary as plain values."""
        coverage: dict[str, dict[str, int]] = {}
        for (action, fault), count in sorted(self.coverage.items()):
            coverage.setdefault(action, {})[fault] = count
        violations = [
            {"seed": seed, "promise": promise, "what": what, "at_s": round(at_s, 3)}
            for seed, promise, what, at_s in self.violations
        ]
        return {
            "schedules": self.schedules,
            "virtual_seconds_min": self.seconds_min,
            "operations": self.operations,
            "operations_min": self.operations_min,
            "faults": self.faults,
            "faults_min": self.faults_min,
            "epochs_raised": self.epochs,
            "took_s": round(self.took_s, 2),
            "answers": dict(self.answers),
            "coverage": coverage,
            "violations": violations,
        }


def _begin_worker() -> None:
    """Have a worker collect nothing, and say nothing when the terminal interrupts everybody: the parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()


def simulate(
    seeds: range,
    *,
    processes: int | None = None,
    told: Callable[[Summary], None] | None = None,
) -> Summary:
    """Run every seed; ``told`` hears of the summary as it grows."""
    summary, began_s = Summary(), time.monotonic()
    batches = [seeds[first : first + BATCH] for first in range(0, len(seeds), BATCH)]
    count = min(processes or _cores(), len(batches))
    if count <= 1:
        outcomes = map(_collected_batch, batches)
        return _gather(outcomes, summary, began_s, told)
    fork = multiprocessing.get_context("fork")
    with fork.Pool(count, initializer=_begin_worker, maxtasksperchild=BATCHES_A_PROCESS) as pool:
        return _gather(pool.imap_unordered(_batch, batches), summary, began_s, told)


def _gather(batches: Any, summary: Summary, began_s: float, told: Callable[[Summary], None] | None) -> Summary:
    for outcomes in batches:
        for outcome in outcomes:
            summary.add(outcome)
        summary.took_s = time.monotonic() - began_s
        if told is not None:
            told(summary)
    summary.violations.sort()
    return summary


def _batch(seeds: range) -> list[Outcome]:
    """Run some schedules."""
    return [run(schedule(seed)) for seed in seeds]


def _collected_batch(seeds: range) -> list[Outcome]:
    """Run some schedules in this process; what they leave behind is collected after them, not while one runs."""
    gc.freeze()
    gc.disable()
    try:
        return _batch(seeds)
    finally:
        gc.collect()
        gc.enable()
        gc.unfreeze()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def replay(seed: int, *, smallest: bool = False) -> tuple[Schedule, list[str], Outcome]:
    """Run one seed again and tell it; ``smallest``: with as few of its faults as break the same promise."""
    plan = schedule(seed)
    if smallest:
        plan = shortest(plan)
    told: list[str] = []
    outcome = run(plan, told=told)
    return plan, told, outcome


def transcript(plan: Schedule, told: list[str], outcome: Outcome) -> str:
    """A schedule as a text for people: what it began with, what happened, how it ended."""
    lines = [f"seed {plan.seed}: {len(plan.setting.regions)} regions, {outcome.operations} operations"]
    for one in plan.setting.placements:
        loss = one.wanted.on_standby_loss.value
        lines.append(
            f"  {one.id}: home {one.home}, standby {one.standby or 'none'}, may live in {', '.join(one.regions)}; "
            f"{one.durability.value}, {loss}, RPO {one.wanted.rpo_s_max:g} s"
        )
    lines += ["", *told, ""]
    verdict = "every promise held" if outcome.promise is None else f"{outcome.promise} broken: {outcome.what}"
    lines.append(f"after {outcome.at_s:.0f} s: {verdict}")
    return "\n".join(lines) + "\n"


def condensed(told: list[str]) -> list[str]:
    """The same, with writes that were acknowledged one after the other in one line."""
    lines: list[str] = []
    run_of: list[str] = []

    def close() -> None:
        lines.extend(run_of[:1])
        if len(run_of) > 1:
            lines.append(f"{'':8}  {'':<10} … and {len(run_of) - 1} more, until {run_of[-1][:8].strip()}")
        run_of.clear()

    for line in told:
        site, what = line[10:21], line[21:]
        same = run_of and (run_of[0][10:21], run_of[0][21:].partition(":")[0]) == (site, what.partition(":")[0])
        if not what.startswith("ok, ") or not same:
            close()
        if what.startswith("ok, "):
            run_of.append(line)
        else:
            lines.append(line)
    close()
    return lines


def table(summary: Summary) -> str:
    """Which action was done how often while which fault was active."""
    faults = [name for name in (*FAULTS, "none") if any(key[1] == name for key in summary.coverage)]
    actions = sorted({key[0] for key in summary.coverage})
    width = max((len(name) for name in actions), default=0)
    lines = [f"{'':{width}}  " + " ".join(f"{number:>6}" for number in range(1, len(faults) + 1))]
    for action in actions:
        counts = " ".join(f"{summary.coverage[action, fault]:>6}" for fault in faults)
        lines.append(f"{action:{width}}  {counts}")
    lines += ["", *(f"{number:>6}  {name}" for number, name in enumerate(faults, start=1))]
    return "\n".join(lines) + "\n"
