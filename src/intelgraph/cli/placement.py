"""``intelgraph placement``: where tenants may live and which region writes; and changing that by hand."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from intelgraph.changelog.removal import Removal, complete_removal
from intelgraph.cli.owner import owner_connection
from intelgraph.cli.site import Site, fleet_options, json_option, run, show, the_site
from intelgraph.control.directory import PlacementRecord, describe, moved
from intelgraph.control.keys import LEASES
from intelgraph.control.opened import open_store
from intelgraph.control.opening import Opened, open_epoch
from intelgraph.control.plans import read_plan
from intelgraph.model.errors import refuse
from intelgraph.model.placement import RPO_S_MAX, Declared, Durability, Placement, StandbyLoss


@click.group()
def command() -> None:
    """Create, show and move placements.

    \b
    Examples:
      intelgraph placement create both --regions us-east,eu-west --home us-east --standby eu-west --durability remote
      intelgraph placement create europe --regions eu-west
      intelgraph placement open both --home eu-west
      intelgraph placement list --json
    """


@command.command("create")
@click.argument("name")
@click.option("--regions", required=True, help="Where its tenants may live, separated by commas.")
@click.option("--home", help="Which region writes [default: the first].")
@click.option("--standby", help="Which region may take over unattended.")
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
    type=float,
    default=RPO_S_MAX,
    show_default=True,
    help="Seconds: how old the oldest write may become that the standby lacks.",
)
@fleet_options
@json_option
def create(name: str, regions: str, home: str | None, state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Create placement NAME and open its first epoch; the same again changes nothing."""
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
    show(done.value(), done.text(), as_json=bool(rest["as_json"]))


@command.command("open")
@click.argument("name")
@click.option("--home", required=True, help="Which region is to write.")
@click.option("--standby", help="Another standby [default: the old home, if the new home was the standby].")
@click.option("--regions", help="Other regions, separated by commas.")
@click.option("--force", is_flag=True, help="Open although rows may be missing at the new home: they are cut off.")
@fleet_options
@json_option
def open_(name: str, home: str, state: Path | None, topology: Path | None, **rest: str) -> None:
    """Open the next epoch of placement NAME with another standby or other regions. Run it again to finish one.

    Where agents run, a home is moved by `switchover` (or `failover`), not by this: only they know when the old home
    has stopped.
    """
    site = the_site(state, topology)
    site.region(home)
    regions = _names(rest["regions"]) if rest["regions"] else None
    wanted = _Wanted(home=home, standby=rest["standby"], regions=regions)
    done = run(_open(site, name, wanted, force=bool(rest["force"])))
    show(done.value(), done.text(), as_json=bool(rest["as_json"]))


@command.command("remove-region")
@click.argument("name")
@click.argument("region")
@click.option("--cut-off", is_flag=True, help="Skip what REGION has not received: it is unreachable.")
@click.option("--wait", "wait_s", type=float, default=10.0, show_default=True, help="Seconds to wait for its links.")
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
    removal = run(_remove(site, name, region, wait_s=rest["wait_s"], cut=rest["cut_off"]))
    passed = f"delivered by {', '.join(removal.passed)}" if removal.passed else ""
    skipped = (
        f"cut off at {', '.join(removal.cut)}: what it misses of other placements is repaired" if removal.cut else ""
    )
    text = f"{region} is removed from {name} ({'; '.join(part for part in (passed, skipped) if part)})"
    show(asdict(removal), text, as_json=bool(rest["as_json"]))


@command.command("show")
@click.argument("name")
@fleet_options
@json_option
def show_(name: str, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Show placement NAME."""
    record = run(_read(the_site(state, topology), name))
    show(value_of(record.placement), f"{name}: {describe(record.placement)}", as_json=as_json)


@command.command("list")
@fleet_options
@json_option
def list_(state: Path | None, topology: Path | None, as_json: bool) -> None:
    """List every placement."""
    records = run(_read_all(the_site(state, topology)))
    lines = [f"{record.placement.id}: {describe(record.placement)}" for record in records]
    show(
        {"placements": [value_of(record.placement) for record in records]},
        "\n".join(lines) or "no placements",
        as_json=as_json,
    )


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    home: str
    standby: str | None
    regions: tuple[str, ...] | None

    def next_of(self, placement: Placement) -> Placement:
        """Decide the placement's next epoch; the same placement if it is as wanted already."""
        regions = self.regions or placement.regions
        if placement.home == self.home and regions == placement.regions and self.standby in (None, placement.standby):
            return placement
        base = moved(placement, self.home) if placement.home != self.home else _raised(placement)
        standby = self.standby or (base.standby if base.standby in regions else None)
        return replace(base, regions=regions, standby=standby)


@dataclass(frozen=True, kw_only=True)
class _Done:
    record: PlacementRecord
    opened: Opened

    def value(self) -> dict[str, object]:
        opened = {"bookmark": self.opened.bookmark, "repeated": self.opened.repeated}
        return {**value_of(self.record.placement), "opened": opened}

    def text(self) -> str:
        place = self.record.placement
        verb = "was open already" if self.opened.repeated else "is open"
        return f"placement {place.id}: {describe(place)}; epoch {place.epoch} {verb} ({self.opened.bookmark})"


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


def _raised(placement: Placement) -> Placement:
    return replace(placement, epoch=placement.epoch + 1)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


async def _create(site: Site, placement: Placement) -> _Done:
    async with site.directory() as directory:
        record = await directory.create_placement(placement)
    return await _open_at_home(site, record, force=False)


async def _open(site: Site, name: str, wanted: _Wanted, *, force: bool) -> _Done:
    async with site.directory() as directory:
        record = await directory.placement(name)
        following = wanted.next_of(record.placement)
        for region in following.regions:
            site.region(region)
        if following != record.placement:
            await _refuse_beside_agents(site, record.placement, following)
            record = await directory.update_placement(record, following)
    return await _open_at_home(site, record, force=force)


async def _refuse_beside_agents(site: Site, before: Placement, after: Placement) -> None:
    """Refuse what an agent has to do, or is doing: moving a home, changing a placement whose plan is under way."""
    store = open_store(site.control)
    try:
        plan = (await read_plan(store, before.id)).under_way
        leases = (await store.read(prefix=LEASES)).entries
    finally:
        await store.close()
    if plan is not None and plan.after.epoch > before.epoch:
        raise refuse(
            "already_moving",
            f"{before.id} is not changed: plan {plan.id} is under way",
            placement=before.id,
            plan=plan.id,
        )
    if after.home != before.home and leases:
        raise refuse(
            "use_switchover",
            f"{before.id} is not moved by hand: agents keep leases here, and only they know when {before.home} has "
            f"stopped; `intelgraph switchover --placement {before.id} --to {after.home}` moves it",
            placement=before.id,
            home=after.home,
        )


async def _open_at_home(site: Site, record: PlacementRecord, *, force: bool) -> _Done:
    home = site.region(record.placement.home).admin_database
    return _Done(record=record, opened=await open_epoch(record, home, force=force))


async def _remove(site: Site, name: str, region: str, *, wait_s: float, cut: bool) -> Removal:
    async with site.directory() as directory:
        record = await directory.placement(name)
        place = record.placement
        if region in place.regions:
            if region == place.home:
                raise refuse(
                    "home_not_allowed",
                    f"{region} cannot be removed from {name}: it is its home; open the placement elsewhere first",
                    placement=name,
                    home=region,
                )
            standby = None if place.standby == region else place.standby
            durability = place.durability if standby else Durability.HOME
            left = tuple(each for each in place.regions if each != region)
            following = replace(place, regions=left, standby=standby, durability=durability, epoch=place.epoch + 1)
            record = await directory.update_placement(record, following)
    await _open_at_home(site, record, force=False)
    async with AsyncExitStack() as stack:
        origins = {}
        for origin in record.placement.regions:
            database = site.region(origin).admin_database
            origins[origin] = await stack.enter_async_context(owner_connection(database))
        return await complete_removal(origins, placement=name, region=region, wait_s=wait_s, cut=cut)


async def _read(site: Site, name: str) -> PlacementRecord:
    async with site.directory() as directory:
        return await directory.placement(name)


async def _read_all(site: Site) -> list[PlacementRecord]:
    async with site.directory() as directory:
        return await directory.placements()
