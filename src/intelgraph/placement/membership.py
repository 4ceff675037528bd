"""What a hand makes of a placement (a region less, more of them, declared anew), and what it may not. Pure.

What a region that is removed still holds, and what is on its way there, does not belong here (``changelog.removal``).
"""

from __future__ import annotations

from dataclasses import replace

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Declared, Durability, Placement
from intelgraph.placement.decision import plan_id
from intelgraph.placement.plan import Kind, Plan
from intelgraph.placement.switchover import next_epoch, refuses_without_standby


def by_hand(before: Placement, following: Placement, last: Plan | None, *, force: bool = False) -> Plan:
    """The plan by which the home's agent makes ``following`` of ``before``; no other may be under way."""
    name = plan_id(before, Kind.RESTAND, last)
    return Plan(id=name, kind=Kind.RESTAND, before=before, after=following, force=force)


def rearranged(
    placement: Placement, *, home: str, standby: str | None, regions: tuple[str, ...] | None
) -> Placement | Denied:
    """The placement in its next epoch with this home, another standby, more regions; the same if it is so already.

    Where the new home was the standby and no other is named, the old home becomes the standby.
    """
    regions = regions or placement.regions
    left_out = [each for each in placement.regions if each not in regions]
    if left_out:
        ways = " and ".join(f"`intelgraph placement remove-region {placement.id} {each}`" for each in left_out)
        reason = (
            f"{placement.id} is not opened in {', '.join(regions)} only: it lives in {', '.join(left_out)} too, and "
            f"what is on its way there would arrive unseen; {ways} takes it off and waits for that"
        )
        return Denied(code="use_remove_region", reason=reason, facts={"placement": placement.id, "left_out": left_out})
    if placement.home == home and regions == placement.regions and standby in (None, placement.standby):
        return placement
    swapped = placement.home if placement.standby == home else placement.standby
    return replace(placement, home=home, standby=standby or swapped, regions=regions, epoch=placement.epoch + 1)


def without(placement: Placement, region: str) -> Placement | Denied:
    """The placement in its next epoch without ``region``; what was declared of that region is declared no more."""
    name, home = placement.id, placement.home
    facts = {"placement": name, "region": region, "home": home}
    left = tuple(each for each in placement.regions if each != region)
    if region == home:
        reason = f"{region} cannot be removed from {name}: it is its home; `intelgraph switchover` moves it first"
        return Denied(code="home_not_allowed", reason=reason, facts=facts)
    if region == placement.standby and refuses_without_standby(placement):
        reason = (
            f"{region} cannot be removed from {name}: it is its standby, and {name} declared to refuse writes without "
            f"one; give it another (`intelgraph placement open {name} --home {home} --standby REGION`), or declare "
            f"otherwise (`intelgraph placement declare {name} --on-standby-loss degrade`)"
        )
        return Denied(code="no_standby", reason=reason, facts=facts)
    wanted = placement.wanted
    declared = replace(
        wanted,
        home=home if wanted.home == region else wanted.home,
        durability=wanted.durability if len(left) > 1 else Durability.HOME,
    )
    standby = None if placement.standby == region else placement.standby
    return replace(next_epoch(placement, home=home, standby=standby, declared=declared), regions=left)


def declare(placement: Placement, declared: Declared) -> Placement | Denied:
    """The placement in its next epoch, declared anew; the same placement if that is what is declared already."""
    if declared == placement.wanted:
        return placement
    name = placement.id
    facts = {"placement": name, "home": declared.home}
    if declared.home not in placement.regions:
        where = ", ".join(placement.regions)
        reason = f"{declared.home} cannot be the home of {name}: it may live in {where} only"
        return Denied(code="region_not_allowed", reason=reason, facts=facts)
    if declared.durability is Durability.REMOTE and len(placement.regions) == 1:
        reason = f"{name} cannot be remote: it may live in {placement.home} only, and that takes a second region"
        return Denied(code="no_standby", reason=reason, facts=facts)
    after = next_epoch(placement, home=placement.home, standby=placement.standby, declared=declared)
    if after.standby is None and refuses_without_standby(after):
        reason = f"{name} cannot be strict now: it has no standby, and would refuse every write from then on"
        return Denied(code="no_standby", reason=reason, facts=facts)
    return after
