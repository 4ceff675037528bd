"""``intelgraph restart``: end one part in an orderly way and start it again."""

from __future__ import annotations

import time
from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import json_option, phase_text, the_fleet, topology_option
from intelgraph.cli.output import say, say_json
from intelgraph.fleet.composition.parts import Kind
from intelgraph.fleet.supervisor.serving import why_not_ready
from intelgraph.fleet.supervisor.status import PartStatus, Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.errors import refuse

_LOOK_S = 0.1


@click.command()
@click.argument("part")
@click.option("--timeout", "timeout_s", type=Duration(), default="30s", show_default=True, help="For it to be ready.")
@topology_option
@json_option
def command(part: str, timeout_s: float, topology: Path | None, as_json: bool) -> None:
    """Restart PART, or every part of a region, and return when it is ready.

    An API is ready when its /readyz says that it can serve, and not when its process answers. Exit code 1: it is not
    ready, and why.

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
    _until_serving([each for each in restarted if each.kind == Kind.API.value], timeout_s)
    if as_json:
        say_json({"restarted": restarted})
        return
    for each in restarted:
        say(f"{each.name:<28} {phase_text(each)}  pid {each.pid}")


def _until_serving(apis: list[PartStatus], timeout_s: float) -> None:
    """Wait until each API says that it can serve; ``not_ready`` with its reasons when one does not in time."""
    deadline_s = time.monotonic() + timeout_s
    for api in apis:
        while (why := why_not_ready(api.ports[0])) is not None:
            if time.monotonic() >= deadline_s:
                raise refuse(
                    "not_ready",
                    f"{api.name} is restarted and cannot serve after {timeout_s:g} s: {why}; it goes on trying",
                    part=api.name,
                )
            time.sleep(_LOOK_S)
