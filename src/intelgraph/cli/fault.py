"""``intelgraph fault``: end a region or a part of it at once, and keep it down, as a loss would; start it again."""

from __future__ import annotations

from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import fleet_operator, json_option, phase_text, topology_option
from intelgraph.cli.options import reason_option, run
from intelgraph.cli.output import say, say_json
from intelgraph.fleet.supervisor.status import PartStatus
from intelgraph.operations.fleet.parts import start_part, stop_part


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
@reason_option
@topology_option
@json_option
def stop(part: str, for_s: float | None, reason: str, topology: Path | None, as_json: bool) -> None:
    """Kill PART, or every part of a region, at once; nothing of it is started until `fault start`.

    Nothing is stopped in an orderly way: this is how a site is lost. `intelgraph fault start` brings it back.

    \b
    Examples:
      intelgraph fault stop us-east
      intelgraph fault stop us-east --for 60s
    """
    _show(run(stop_part(fleet_operator(topology, reason), part, for_s=for_s)), as_json=as_json)


@command.command()
@click.argument("part")
@reason_option
@topology_option
@json_option
def start(part: str, reason: str, topology: Path | None, as_json: bool) -> None:
    """Let PART, or every part of a region, be started again.

    \b
    Example:
      intelgraph fault start us-east
    """
    _show(run(start_part(fleet_operator(topology, reason), part)), as_json=as_json)


def _show(concerned: list[PartStatus], *, as_json: bool) -> None:
    if as_json:
        say_json({"parts": concerned})
        return
    for each in concerned:
        say(f"{each.name:<28} {phase_text(each)}")
