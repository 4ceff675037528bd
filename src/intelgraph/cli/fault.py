"""``intelgraph fault``: end a region or a part of it at once, and keep it down, as a loss would; start it again."""

from __future__ import annotations

from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import json_option, phase_text, the_fleet, topology_option
from intelgraph.cli.output import say, say_json
from intelgraph.fleet.supervisor.status import FleetStatus, Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.errors import refuse


@click.group()
def command() -> None:
    """Lose a region, or a part of it, on purpose, and bring it back.

    \b
    Examples:
      intelgraph fault stop us-east
      intelgraph fault start us-east
    """


@command.command()
@click.argument("part")
@click.option("--for", "for_s", type=Duration(above_zero=True), help="Start it by itself after this long, such as 60s.")
@topology_option
@json_option
def stop(part: str, for_s: float | None, topology: Path | None, as_json: bool) -> None:
    """Kill PART, or every part of a region, at once; nothing of it is started until `fault start`.

    Nothing is stopped in an orderly way: this is how a site is lost. `intelgraph fault start` brings it back.

    \b
    Examples:
      intelgraph fault stop us-east
      intelgraph fault stop us-east --for 60s
    """
    _ask(Request(do="hold", part=part, for_s=for_s), topology, as_json=as_json)


@command.command()
@click.argument("part")
@topology_option
@json_option
def start(part: str, topology: Path | None, as_json: bool) -> None:
    """Let PART, or every part of a region, be started again.

    \b
    Example:
      intelgraph fault start us-east
    """
    _ask(Request(do="release", part=part), topology, as_json=as_json)


def _ask(request: Request, topology: Path | None, *, as_json: bool) -> None:
    status: FleetStatus | None = ask(the_fleet(topology), request)
    if status is None:
        raise refuse("not_supervised", "the fault is refused: no supervisor runs; `intelgraph up` starts one")
    concerned = [each for each in status.parts if request.part in (each.name, each.region)]
    if as_json:
        say_json({"parts": concerned})
        return
    for each in concerned:
        say(f"{each.name:<28} {phase_text(each)}")
