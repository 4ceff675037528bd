"""``intelgraph hold`` and ``release``: end a region or a part of it at once, and keep it down, as a loss would."""

from __future__ import annotations

from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import json_option, phase_text, the_fleet, topology_option
from intelgraph.cli.output import say, say_json
from intelgraph.fleet.supervisor.status import FleetStatus, Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.errors import refuse


@click.command()
@click.argument("part")
@click.option(
    "--for", "for_s", type=Duration(above_zero=True), help="Release it by itself after this long, such as 60s."
)
@topology_option
@json_option
def command(part: str, for_s: float | None, topology: Path | None, as_json: bool) -> None:
    """Kill PART, or every part of a region, at once; nothing of it is started until it is released.

    Nothing is stopped in an orderly way: this is how a site is lost. `intelgraph release` brings it back.

    \b
    Examples:
      intelgraph hold us-east
      intelgraph hold us-east --for 60s
    """
    _ask(Request(do="hold", part=part, for_s=for_s), topology, as_json=as_json)


@click.command()
@click.argument("part")
@topology_option
@json_option
def release(part: str, topology: Path | None, as_json: bool) -> None:
    """Let PART, or every part of a region, be started again.

    \b
    Example:
      intelgraph release us-east
    """
    _ask(Request(do="release", part=part), topology, as_json=as_json)


def _ask(request: Request, topology: Path | None, *, as_json: bool) -> None:
    status: FleetStatus | None = ask(the_fleet(topology), request)
    if status is None:
        raise refuse("not_supervised", f"{request.do} is refused: no supervisor runs; `intelgraph up` starts one")
    concerned = [each for each in status.parts if request.part in (each.name, each.region)]
    if as_json:
        say_json({"parts": concerned})
        return
    for each in concerned:
        say(f"{each.name:<28} {phase_text(each)}")
