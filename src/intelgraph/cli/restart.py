"""``intelgraph restart``: end one part in an orderly way and start it again."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from intelgraph.cli.fleet_place import json_option, phase_text, the_fleet, topology_option
from intelgraph.fleet.status import Request
from intelgraph.fleet.supervision import ask
from intelgraph.model.errors import refuse


@click.command()
@click.argument("part")
@topology_option
@json_option
def command(part: str, topology: Path | None, as_json: bool) -> None:
    """Restart PART, or every part of a region, and return when it is ready.

    \b
    Examples:
      intelgraph restart us-east/api
      intelgraph restart eu-west
    """
    fleet = the_fleet(topology)
    status = ask(fleet, Request(do="restart", part=part))
    if status is None:
        raise refuse("not_supervised", f"{part} is not restarted: no supervisor runs; `intelgraph up` starts one")
    restarted = [each for each in status.parts if part in (each.name, each.region)]
    if as_json:
        click.echo(msgspec.json.encode({"restarted": restarted}).decode())
        return
    for each in restarted:
        click.echo(f"{each.name:<28} {phase_text(each)}  pid {each.pid}")
