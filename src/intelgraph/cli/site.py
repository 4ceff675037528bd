"""Where a command finds the fleet: its state directory, the settings of its regions, its control store.

Every verb that talks to a running fleet takes ``--state`` or ``--topology`` and starts here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from intelgraph.cli.output import say_json, say_lines
from intelgraph.control.agent.leases.times import lease_policy
from intelgraph.control.directory.placements import Directory
from intelgraph.control.store.opened import open_store
from intelgraph.fleet.layout.places import state_directory
from intelgraph.fleet.layout.topology_file import find_topology_file, load_topology
from intelgraph.model.errors import refuse
from intelgraph.placement.policy import Policy
from intelgraph.settings import ControlConfig, RegionConfig, load_control_config, load_region_config

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Site:
    """A fleet on this machine: its state directory and its regions' settings by name."""

    state: Path
    regions: dict[str, RegionConfig]
    control: ControlConfig

    def region(self, name: str) -> RegionConfig:
        """Return a region's settings; ``unknown_region`` if the fleet has none of that name."""
        found = self.regions.get(name)
        if found is None:
            known = sorted(self.regions)
            raise refuse(
                "unknown_region",
                f"the region {name} is refused: the fleet has {', '.join(known)} only; "
                "a region is added in the topology file, and `intelgraph up` starts it",
                region=name,
                known=known,
            )
        return found

    @property
    def policy(self) -> Policy:
        """By which its agents decide, so that a command decides as they would."""
        return Policy(lease=lease_policy(next(iter(self.regions.values())).lease))

    @asynccontextmanager
    async def directory(self) -> AsyncIterator[Directory]:
        """Open the directory of tenants and placements."""
        store = open_store(self.control)
        try:
            yield Directory(store)
        finally:
            await store.close()


def find_site(state: Path) -> Site:
    """Read what ``intelgraph up`` wrote into the state directory; ``no_fleet`` if there is nothing."""
    try:
        found = sorted(state.glob("regions/*/region.json"))
    except OSError as error:  # a name too long
        raise refuse("no_fleet", f"the state directory {state} is refused: {error.strerror}") from error
    regions = {path.parent.name: load_region_config(path) for path in found}
    if not regions:
        raise refuse("no_fleet", f"there is no fleet in {state}: `intelgraph up` makes one", state=str(state))
    return Site(state=state, regions=regions, control=_operators_control(state, regions))


def _operators_control(state: Path, regions: dict[str, RegionConfig]) -> ControlConfig:
    """How an operator reaches the control store: as the fleet says, else as its first region does."""
    try:
        return load_control_config(state / "fleet" / "control.json")
    except FileNotFoundError:
        return next(iter(regions.values())).control


def the_site(state: Path | None, topology: Path | None) -> Site:
    """Find the fleet that a command's options mean."""
    if state is not None:
        return find_site(state)
    file = load_topology(topology or find_topology_file(Path.cwd()))
    return find_site(state_directory(file, start=Path.cwd()))


def fleet_options(command: F) -> F:
    """Add the options that say which fleet is meant: ``--topology`` and ``--state``."""
    command = click.option(
        "--topology",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="INTELGRAPH_TOPOLOGY",
        help="Topology file [default: intelgraph.toml here or above, else two regions].",
    )(command)
    return click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        help="State directory [default: the topology's].",
    )(command)


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(command)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part to its end."""
    return asyncio.run(work)


def show(value: object, text: str | Iterable[str], *, as_json: bool) -> None:
    """Print a command's result, as JSON or as a line, or lines, for people."""
    if as_json:
        say_json(value)
    else:
        say_lines([text] if isinstance(text, str) else text)
