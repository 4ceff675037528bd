"""``intelgraph region drain`` and ``resume``: empty a region on purpose, and let it take part again."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

import click

from intelgraph.cli.moves import Intent, Options, carry_out, intent_of_leaving, move_options
from intelgraph.cli.site import fleet_options, json_option, run, show, the_site
from intelgraph.control.directory.regions import RegionState, declare
from intelgraph.control.directory.regions import drain as declare_drained
from intelgraph.control.operating import OperatorsView
from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ControlStore
from intelgraph.placement.drain import drain as leave
from intelgraph.settings import ControlConfig


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
    site = the_site(state, topology)
    site.region(region)

    def decide(view: OperatorsView) -> list[Intent]:
        others = [name for name in view.reports if name != region]
        views = [view.view(name, as_of=others[0] if others else None) for name in sorted(view.known.placements)]
        return [intent_of_leaving(leaving) for leaving in leave(views, region, site.policy)]

    async def say(store: ControlStore) -> None:
        await declare_drained(store, region, why=reason, by=getpass.getuser())

    return carry_out(site, Options(**rest), decide, say)


@command.command("resume")
@click.argument("region")
@fleet_options
@json_option
def resume(region: str, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Let REGION take part again. Nothing moves by this: `failback` brings placements home.

    \b
    Example:
      intelgraph region resume us-east
    """
    site = the_site(state, topology)
    site.region(region)
    changed = run(_resume(site.control, region))
    text = f"{region} takes part again" if changed else f"{region} was not drained"
    show({"region": region, "drained": False, "changed": changed}, text, as_json=as_json)


async def _resume(control: ControlConfig, region: str) -> bool:
    store = open_store(control)
    try:
        return await declare(store, region, RegionState())
    finally:
        await store.close()
