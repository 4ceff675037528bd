"""Where the fleet's own verbs (up, down, status, logs, restart, wan) find the fleet, and their words for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from intelgraph.cli.options import the_actor
from intelgraph.cli.output import style
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor.status import PartStatus, Phase
from intelgraph.operations.edges import addresses
from intelgraph.operations.fleet.location import FleetOperator, find_fleet

F = TypeVar("F", bound=Callable[..., Any])
_COLOURS = {Phase.READY: "green", Phase.DONE: "green", Phase.WAITING: "yellow", Phase.STARTING: "yellow"}


def topology_option(command: F) -> F:
    """Add ``--topology``."""
    return click.option(
        "--topology",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="INTELGRAPH_TOPOLOGY",
        help="Topology file [default: intelgraph.toml here or above, else two regions].",
    )(command)


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(command)


def fleet_operator(topology: Path | None, reason: str) -> FleetOperator:
    """Whoever runs this process, at work on the fleet that a command's option means; ``no_fleet`` if there is none."""
    return FleetOperator(fleet=find_fleet(topology), actor=the_actor(reason))


def phase_text(part: PartStatus) -> str:
    """A part's phase, coloured where colours are shown."""
    return style(part.phase.value, _COLOURS.get(part.phase, "red"))


def address_lines(fleet: Fleet) -> list[str]:
    """The addresses for people."""
    found = addresses(fleet)
    width = max(len(name) for name in found)
    return [f"  {name:<{width}}  {url}" for name, url in found.items()]
