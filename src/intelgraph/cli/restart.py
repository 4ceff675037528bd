"""``intelgraph restart``: end one part in an orderly way and start it again."""

from __future__ import annotations

from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import fleet_operator, json_option, phase_text, topology_option
from intelgraph.cli.options import reason_option, run
from intelgraph.cli.output import say, say_json
from intelgraph.operations.fleet.parts import restart_part


@click.command()
@click.argument("part")
@click.option("--timeout", "timeout_s", type=Duration(), default="30s", show_default=True, help="For it to be ready.")
@reason_option
@topology_option
@json_option
def command(part: str, timeout_s: float, reason: str, topology: Path | None, as_json: bool) -> None:
    """Restart PART, or every part of a region, and return when it is ready.

    An API is ready when its /readyz says that it can serve, and not when its process answers. Exit code 1: it is not
    ready, and why.

    \b
    Examples:
      intelgraph restart us-east/api
      intelgraph restart eu-west
    """
    restarted = run(restart_part(fleet_operator(topology, reason), part, timeout_s=timeout_s))
    if as_json:
        say_json({"restarted": restarted})
        return
    for each in restarted:
        say(f"{each.name:<28} {phase_text(each)}  pid {each.pid}")
