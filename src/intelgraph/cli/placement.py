"""``intelgraph placement``: where tenants may live and which region writes; and changing that by hand."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import asyncpg
import click

from intelgraph.changelog.removal import Removal, complete_removal
from intelgraph.cli.changing import Changed, change
from intelgraph.cli.duration import Duration
from intelgraph.cli.number import Number
from intelgraph.cli.owner import owner_connection
from intelgraph.cli.site import Site, fleet_options, json_option, run, show, the_site
from intelgraph.control.agent.controller.opening import open_epoch
from intelgraph.control.directory.placements import PlacementRecord, describe
from intelgraph.model.errors import Denied, PermanentError, TransientError
from intelgraph.model.placement import RPO_S_MAX, Declared, Durability, Placement, StandbyLoss
from intelgraph.placement.membership import declare, rearranged, without


@click.group()
def command() -> None:
    """Create, show and move placements.

    \b
    Examples:
      intelgraph placement create both --regions us-east,eu-west --home us-east --standby eu-west --durability remote
      intelgraph placement create europe --regions eu-west
      intelgraph placement open both --home us-east --standby us-west
      intelgraph placement declare both --on-standby-loss strict
      intelgraph placement list --json
    """


@command.command("create")
@click.argument("name")
@click.option("--regions", required=True, help="Where its tenants may live, separated by commas.")
@click.option("--home", help="Which region writes [default: the first].")
@click.option(
    "--standby", help="Which region may take over unattended [default: the agents name one that has caught up]."
)
@click.option(
    "--durability",
    type=click.Choice([each.value for each in Durability]),
    default=Durability.HOME.value,
    show_default=True,
    help="Acknowledge a write when it is flushed at home, or by the standby too.",
)
@click.option(
    "--on-standby-loss",
    type=click.Choice([each.value for each in StandbyLoss]),
    default=StandbyLoss.DEGRADE.value,
    show_default=True,
    help="Of remote durability: refuse writes without the standby, or go on at home and say so.",
)
@click.option(
    "--rpo",
    "rpo_s",
    type=Number(),
    default=RPO_S_MAX,
    show_default=True,
    help="Seconds: how old the oldest write may become that the standby lacks.",
)
@fleet_options
@json_option
def create(name: str, regions: str, home: str | None, state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Create placement NAME and open its first epoch; the same again changes nothing.

    \b
    Examples:
      intelgraph placement create europe --regions eu-west
      intelgraph placement create both --regions us-east,eu-west --standby eu-west --durability remote --rpo 20"""
    site = the_site(state, topology)
    allowed = _names(regions)
    durability = Durability(rest["durability"])
    placement = Placement(
        id=name,
        home=home or allowed[0],
        standby=rest["standby"],
        regions=allowed,
        epoch=1,
        durability=durability,
        declared=Declared(
            home=home or allowed[0],
            durability=durability,
            on_standby_loss=StandbyLoss(rest["on_standby_loss"]),
            rpo_s_max=rest["rpo_s"],
        ),
    )
    for region in allowed:
        site.region(region)
    done = run(_create(site, placement))
    show(_value(done), _text(done), as_json=bool(rest["as_json"]))


@command.command("open")
@click.argument("name")
@click.option("--home", required=True, help="Which region is to write.")
@click.option("--standby", help="Another standby [default: the old home, if the new home was the standby].")
@click.option("--regions", help="More regions, separated by commas: all it has now and those to add.")
@click.option("--force", is_flag=True, help="Open although rows may be missing at the new home: they are cut off.")
@fleet_options
@json_option
def open_(name: str, home: str, state: Path | None, topology: Path | None, **rest: str) -> None:
    """Open the next epoch of placement NAME with another standby or more regions. Run it again to finish one.

    A region is taken off by `placement remove-region`, which waits for what is still on its way there. Where agents
    run, the home's agent does it, and a home is moved by `switchover` (or `failover`), not by this: only agents know
    when the old home has stopped.

    \b
    Examples:
      intelgraph placement open both --home us-east --standby us-west
      intelgraph placement open both --home us-east --regions us-east,eu-west,us-west
    """
    site = the_site(state, topology)
    site.region(home)
    regions = _names(rest["regions"]) if rest["regions"] else None
    wanted = {"home": home, "standby": rest["standby"], "regions": regions}
    quiet = bool(rest["as_json"])
    done = run(_open(site, name, force=bool(rest["force"]), quiet=quiet, **wanted))
    show(_value(done), _text(done), as_json=quiet)


@command.command("declare")
@click.argument("name")
@click.option("--home", help="Which region is to be its home; `failback` moves it there.")
@click.option("--durability", type=click.Choice([each.value for each in Durability]), help="As for `create`.")
@click.option("--on-standby-loss", type=click.Choice([each.value for each in StandbyLoss]), help="As for `create`.")
@click.option("--rpo", "rpo_s", type=Number(), help="Seconds, as for `create`.")
@fleet_options
@json_option
def declare_(name: str, state: Path | None, topology: Path | None, as_json: bool, **given: Any) -> None:
    """Declare placement NAME anew: what is not given stays as it is. The same again changes nothing.

    It holds from the next epoch on, which is opened at once; writes are held meanwhile, for some tenths of a second.

    \b
    Examples:
      intelgraph placement declare both --on-standby-loss strict
      intelgraph placement declare both --durability home --rpo 20
    """
    wanted: dict[str, Any] = {
        "home": given["home"],
        "durability": Durability(given["durability"]) if given["durability"] else None,
        "on_standby_loss": StandbyLoss(given["on_standby_loss"]) if given["on_standby_loss"] else None,
        "rpo_s_max": given["rpo_s"],
    }
    wanted = {key: value for key, value in wanted.items() if value is not None}
    if not wanted:
        raise click.UsageError("nothing is declared: give --home, --durability, --on-standby-loss or --rpo")
    done = run(_declare(the_site(state, topology), name, wanted, quiet=as_json))
    show(_value(done), _text(done), as_json=as_json)


@command.command("remove-region")
@click.argument("name")
@click.argument("region")
@click.option("--cut-off", is_flag=True, help="Skip what REGION has not received: it is unreachable.")
@click.option("--wait", "wait_s", type=Duration(), default="10s", show_default=True, help="For its links.")
@fleet_options
@json_option
def remove_region(name: str, region: str, state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Take REGION off placement NAME, and wait until nothing addressed to it is still on its way.

    \b
    Run it again to finish one that was interrupted. Examples:
      intelgraph placement remove-region both us-east
      intelgraph placement remove-region both us-east --cut-off
    """
    site = the_site(state, topology)
    site.region(region)
    quiet = bool(rest["as_json"])
    removal, now = run(_remove(site, name, region, wait_s=rest["wait_s"], cut=rest["cut_off"], quiet=quiet))
    passed = f"delivered by {', '.join(removal.passed)}" if removal.passed else ""
    skipped = (
        f"cut off at {', '.join(removal.cut)}: what it misses of other placements is repaired" if removal.cut else ""
    )
    text = f"{region} is removed from {name} ({'; '.join(part for part in (passed, skipped) if part)})"
    if now.standby is None:
        text += f"; {name} has no standby: writes are acknowledged by {now.home} alone"
    show(asdict(removal), text, as_json=quiet)


@command.command("show")
@click.argument("name")
@fleet_options
@json_option
def show_(name: str, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Show placement NAME.

    \b
    Example:
      intelgraph placement show both --json
    """
    record = run(_read(the_site(state, topology), name))
    show(value_of(record.placement), f"{name}: {describe(record.placement)}", as_json=as_json)


@command.command("list")
@fleet_options
@json_option
def list_(state: Path | None, topology: Path | None, as_json: bool) -> None:
    """List every placement.

    \b
    Example:
      intelgraph placement list
    """
    records = run(_read_all(the_site(state, topology)))
    lines = [f"{record.placement.id}: {describe(record.placement)}" for record in records]
    show(
        {"placements": [value_of(record.placement) for record in records]},
        lines or "no placements",
        as_json=as_json,
    )


def _value(changed: Changed) -> dict[str, object]:
    opened = {"bookmark": changed.opened.bookmark, "repeated": changed.opened.repeated}
    return {**value_of(changed.record.placement), "opened": opened}


def _text(changed: Changed) -> str:
    place = changed.record.placement
    verb = "was open already" if changed.opened.repeated else "is open"
    return f"placement {place.id}: {describe(place)}; epoch {place.epoch} {verb} ({changed.opened.bookmark})"


def value_of(placement: Placement) -> dict[str, object]:
    """Return a placement as JSON shows it; its digest key stays in the control store."""
    return {
        "id": placement.id,
        "home": placement.home,
        "standby": placement.standby,
        "regions": list(placement.regions),
        "epoch": placement.epoch,
        "durability": placement.durability.value,
        "declared": {
            "home": placement.wanted.home,
            "durability": placement.wanted.durability.value,
            "on_standby_loss": placement.wanted.on_standby_loss.value,
            "rpo_s_max": placement.wanted.rpo_s_max,
        },
    }


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


async def _create(site: Site, placement: Placement) -> Changed:
    async with site.directory() as directory:
        record = await directory.create_placement(placement)
    opened = await open_epoch(record, site.region(record.placement.home).admin_database)
    return Changed(record=record, opened=opened)


async def _open(site: Site, name: str, *, force: bool, quiet: bool, **wanted: Any) -> Changed:
    record = await _read(site, name)
    following = _allowed(rearranged(record.placement, **wanted))
    for region in following.regions:
        site.region(region)
    return await change(site, record, following, force=force, quiet=quiet)


async def _declare(site: Site, name: str, given: dict[str, Any], *, quiet: bool) -> Changed:
    record = await _read(site, name)
    following = _allowed(declare(record.placement, replace(record.placement.wanted, **given)))
    return await change(site, record, following, force=False, quiet=quiet)


def _allowed(following: Placement | Denied) -> Placement:
    if isinstance(following, Denied):
        raise PermanentError(following)
    return following


async def _remove(
    site: Site, name: str, region: str, *, wait_s: float, cut: bool, quiet: bool
) -> tuple[Removal, Placement]:
    record = await _read(site, name)
    following = (
        record.placement if region not in record.placement.regions else _allowed(without(record.placement, region))
    )
    changed = await change(site, record, following, force=False, quiet=quiet)
    async with AsyncExitStack() as stack:
        fleet = {each: await _owner(stack, site, each) for each in site.regions if each != region}
        removal = await complete_removal(fleet, placement=name, region=region, wait_s=wait_s, cut=cut)
    return removal, changed.record.placement


async def _owner(stack: AsyncExitStack, site: Site, region: str) -> asyncpg.Connection | None:
    """Connect to a region's database; none if it does not answer."""
    try:
        return await stack.enter_async_context(owner_connection(site.region(region).admin_database))
    except TransientError:
        return None


async def _read(site: Site, name: str) -> PlacementRecord:
    async with site.directory() as directory:
        return await directory.placement(name)


async def _read_all(site: Site) -> list[PlacementRecord]:
    async with site.directory() as directory:
        return await directory.placements()
