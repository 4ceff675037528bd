"""A placement that loses a region, or is declared anew: what it is then, and what is refused. Pure.

What a region that is removed still holds, and what is on its way there, does not belong here (``changelog.removal``).
"""

from __future__ import annotations

from dataclasses import replace

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Declared, Durability, Placement
from intelgraph.placement.decision import plan_id
from intelgraph.placement.plan import Kind, Plan, is_under_way
from intelgraph.placement.switchover import next_epoch, refuses_without_standby


def by_hand(before: Placement, following: Placement, last: Plan | None, *, force: bool = False) -> Plan | None:
    """The plan by which the home's agent makes ``following`` of ``before``; none while another plan is under way."""
    if is_under_way(before, last):
        return None
    name = plan_id(before, Kind.RESTAND, last)
    return Plan(id=name, kind=Kind.RESTAND, before=before, after=following, force=force)


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
