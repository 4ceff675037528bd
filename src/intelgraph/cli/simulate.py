"""``intelgraph simulate``: thousands of losses under virtual time, against the promises; or one of them, told."""

from __future__ import annotations

import sys
from typing import Any

import click

from intelgraph.cli.options import json_option, show
from intelgraph.cli.progress import Steps
from intelgraph.simulator.running import Summary, replay, simulate, table, transcript

VIOLATIONS_SHOWN = 20


@click.command()
@click.option("--schedules", type=click.IntRange(min=1), default=1000, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first one's seed.")
@click.option("--replay", "again", type=click.IntRange(min=0), help="Tell what happens under this seed instead.")
@click.option("--smallest", is_flag=True, help="With --replay: with as few faults as break the same promise.")
@json_option
def command(schedules: int, seed: int, again: int | None, smallest: bool, **rest: Any) -> None:
    """Run the real agents under modelled crashes, pauses, partitions and clocks, and check every promise.

    Nothing is started or touched. Exit code 1: a promise was broken; the seed is shown.

    \b
    Examples:
      intelgraph simulate --schedules 10000
      intelgraph simulate --replay 4711
    """
    as_json = bool(rest["as_json"])
    if smallest and again is None:
        raise click.UsageError("--smallest goes with --replay: it is one seed's faults that are made fewer")
    if again is not None:
        plan, lines, outcome = replay(again, smallest=smallest)
        text = transcript(plan, lines, outcome)
        values = {"seed": again, "broken": outcome.promise, "what": outcome.what, "transcript": text.splitlines()}
        show(values, text.rstrip().split("\n"), as_json=as_json)
        sys.exit(0 if outcome.promise is None else 1)
    with Steps(quiet=as_json) as steps:
        steps.start("schedules", schedules)
        summary = simulate(range(seed, seed + schedules), told=lambda so_far: steps.set(so_far.schedules))
    show(summary.as_json(), told(summary).split("\n"), as_json=as_json)
    sys.exit(1 if summary.violations else 0)


def told(summary: Summary) -> str:
    """Say what many schedules came to."""
    lines = [
        f"{summary.schedules} schedules in {summary.took_s:.1f} s ({summary.schedules / summary.took_s:.0f}/s): "
        f"{summary.operations} operations, {summary.faults} faults, {summary.epochs} epochs raised; "
        f"each at least {summary.seconds_min:.0f} virtual seconds, {summary.operations_min} operations, "
        f"{summary.faults_min} faults",
        "",
        "actions done while a fault was active:",
        table(summary),
    ]
    for found, promise, what, at_s in summary.violations[:VIOLATIONS_SHOWN]:
        lines.append(f"seed {found}, at {at_s:.1f} s: {promise}: {what}")
    lines.append(f"{len(summary.violations)} violations")
    return "\n".join(lines)
