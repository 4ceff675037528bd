"""Where the fleet's own verbs (up, down, status, logs, restart, wan) find the fleet, and their words for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from intelgraph.cli.output import style
from intelgraph.fleet.layout.places import Fleet, locate
from intelgraph.fleet.layout.topology import GLOBAL_EDGE
from intelgraph.fleet.layout.topology_file import TopologyFile, find_topology_file, load_topology
from intelgraph.fleet.supervisor.status import FleetStatus, PartStatus, Phase
from intelgraph.model.errors import refuse
from intelgraph.operations.edges import addresses

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


def read_topology(topology: Path | None) -> TopologyFile:
    """The topology that a command's option means."""
    return load_topology(topology or find_topology_file(Path.cwd()))


def the_fleet(topology: Path | None) -> Fleet:
    """The fleet that a command's option means; ``no_fleet`` if it was never brought up."""
    fleet = locate(read_topology(topology), start=Path.cwd())
    if not fleet.id or GLOBAL_EDGE not in fleet.ports:
        raise refuse("no_fleet", f"there is no fleet in {fleet.state}: `intelgraph up` makes one")
    return fleet


def phase_text(part: PartStatus) -> str:
    """A part's phase, coloured where colours are shown."""
    return style(part.phase.value, _COLOURS.get(part.phase, "red"))


def address_lines(fleet: Fleet) -> list[str]:
    """The addresses for people."""
    found = addresses(fleet)
    width = max(len(name) for name in found)
    return [f"  {name:<{width}}  {url}" for name, url in found.items()]


def not_ready(status: FleetStatus) -> list[PartStatus]:
    """The parts and steps that are not ready."""
    waiting = [step for step in status.steps if step.phase is not Phase.DONE]
    return waiting + [part for part in status.parts if part.phase is not Phase.READY]
