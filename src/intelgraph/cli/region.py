"""``intelgraph region drain`` and ``resume``: empty a region on purpose, and let it take part again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from intelgraph.cli.moves import move_options, show_moved
from intelgraph.cli.options import fleet_options, json_option, reason_option, run, show, the_operator
from intelgraph.cli.output import say
from intelgraph.operations.moves import MoveOptions
from intelgraph.operations.regions import drain_region, resume_region


@click.group()
def command() -> None:
    """Drain and resume regions.

    \b
    Examples:
      intelgraph region drain us-east --dry-run
      intelgraph region drain us-east --reason "kernel update"
      intelgraph region resume us-east
    """


@command.command("drain")
@click.argument("region")
@click.option("--reason", default="", help="Why; it is kept with the region.")
@move_options
@fleet_options
def drain(region: str, reason: str, state: Path | None, topology: Path | None, **rest: Any) -> int:
    """Move what REGION writes elsewhere and give what it stands by for another standby.

    It takes nothing over until it is resumed. The exit code is 0 when the region is needed by nobody any more; else 1,
    with what stays and why.

    \b
    Examples:
      intelgraph region drain us-east --dry-run
      intelgraph region drain us-east --reason "kernel update" --timeout 2m
    """
    as_json = rest.pop("as_json")
    operator = the_operator(state, topology, reason=reason, quiet=as_json)
    options = MoveOptions(**rest)
    code = show_moved(run(drain_region(operator, region, options=options)), as_json=as_json)
    if not as_json and not options.dry_run:
        say(f"{region} is drained: it takes nothing over; `intelgraph region resume {region}` ends that")
    return code


@command.command("resume")
@click.argument("region")
@reason_option
@fleet_options
@json_option
def resume(region: str, reason: str, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Let REGION take part again. Nothing moves by this: `failback` brings placements home.

    \b
    Example:
      intelgraph region resume us-east
    """
    changed = run(resume_region(the_operator(state, topology, reason=reason), region))
    text = f"{region} takes part again" if changed else f"{region} was not drained"
    show({"region": region, "drained": False, "changed": changed}, text, as_json=as_json)
