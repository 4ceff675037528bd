"""Placements: creating, reading and changing them by hand, and taking a region off one.

Everything may be asked for again: what is so already is answered, what was interrupted is finished.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from intelgraph.changelog.removal import Removal, complete_removal
from intelgraph.control.agent.controller.opening import open_epoch
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.model.errors import Denied, PermanentError, TransientError
from intelgraph.model.placement import Durability, Placement, StandbyLoss
from intelgraph.operations.change import Changed, change
from intelgraph.operations.database import owner_connection, told_failures
from intelgraph.operations.operator import Operator
from intelgraph.operations.record import record
from intelgraph.operations.site import Site
from intelgraph.placement import membership


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be declared of a placement; ``None`` stays as it is."""

    home: str | None = None
    durability: Durability | None = None
    on_standby_loss: StandbyLoss | None = None
    rpo_s_max: float | None = None

    def given(self) -> dict[str, Any]:
        """What is not ``None``."""
        named = ("home", "durability", "on_standby_loss", "rpo_s_max")
        return {name: getattr(self, name) for name in named if getattr(self, name) is not None}


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """Where a placement's next epoch is to be: its home, and another standby or more regions if they are given."""

    home: str
    standby: str | None = None
    regions: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Removed:
    """How a region left a placement, and the placement without it."""

    removal: Removal
    placement: Placement


async def list_placements(operator: Operator) -> list[PlacementRecord]:
    """Every placement, by id."""
    async with operator.site.directory() as directory:
        return await directory.placements()


async def show_placement(operator: Operator, name: str) -> PlacementRecord:
    """One placement; ``unknown_placement`` if there is none."""
    async with operator.site.directory() as directory:
        return await directory.placement(name)


async def create_placement(operator: Operator, placement: Placement) -> Changed:
    """Create a placement and open its first epoch; ``placement_exists`` if there is another one of that name."""
    for region in placement.regions:
        operator.site.region(region)
    record(operator, "placement create", placement=placement.id, regions=list(placement.regions), home=placement.home)
    async with operator.site.directory() as directory:
        made = await directory.create_placement(placement)
    opened = await open_epoch(made, operator.site.region(made.placement.home).admin_database)
    return Changed(record=made, opened=opened)


async def rearrange_placement(
    operator: Operator, name: str, arrangement: Arrangement, *, force: bool = False
) -> Changed:
    """Open a placement's next epoch as ``arrangement`` says. ``force``: rows that are missing there are cut off.

    A region is taken off by ``remove_region``; where agents run, a home is moved by ``moves``.
    """
    operator.site.region(arrangement.home)
    found = await show_placement(operator, name)
    following = _allowed(
        membership.rearranged(
            found.placement,
            home=arrangement.home,
            standby=arrangement.standby,
            regions=arrangement.regions,
        )
    )
    for region in following.regions:
        operator.site.region(region)
    record(operator, "placement open", placement=name, home=following.home, standby=following.standby, force=force)
    return await change(operator, found, following, force=force)


async def declare_placement(operator: Operator, name: str, wish: Wish) -> Changed:
    """Declare a placement anew; it holds from its next epoch on, which is opened at once."""
    found = await show_placement(operator, name)
    following = _allowed(membership.declare(found.placement, replace(found.placement.wanted, **wish.given())))
    wanted = [f"{key}={getattr(value, 'value', value)}" for key, value in wish.given().items()]
    record(operator, "placement declare", placement=name, wanted=wanted)
    return await change(operator, found, following)


async def remove_region(
    operator: Operator, name: str, region: str, *, wait_s: float = 10.0, cut_off: bool = False
) -> Removed:
    """Take a region off a placement; ``removal_pending`` if something addressed to it is on its way after ``wait_s``.

    ``cut_off`` skips what the region has not received.
    """
    operator.site.region(region)
    found = await show_placement(operator, name)
    before = found.placement
    following = before if region not in before.regions else _allowed(membership.without(before, region))
    record(operator, "placement remove-region", placement=name, region=region, cut_off=cut_off)
    changed = await change(operator, found, following)
    async with AsyncExitStack() as stack:
        fleet = {each: await _owner(stack, operator.site, each) for each in operator.site.regions if each != region}
        with told_failures(" or ".join(fleet)):
            removal = await complete_removal(fleet, placement=name, region=region, wait_s=wait_s, cut=cut_off)
    return Removed(removal=removal, placement=changed.record.placement)


async def _owner(stack: AsyncExitStack, site: Site, region: str) -> asyncpg.Connection | None:
    """Connect to a region's database; none if it does not answer."""
    try:
        return await stack.enter_async_context(owner_connection(site.region(region).admin_database))
    except TransientError:
        return None


def _allowed(following: Placement | Denied) -> Placement:
    if isinstance(following, Denied):
        raise PermanentError(following)
    return following
