"""The plans of placements: what is done, in which order, by whom, when a home, a standby or durability changes.

The tables are the kinds; docs/control.md says why in this order. What is common to all plans is in ``plans``. How an
action is done does not belong here (``control.agent.controller.acting``), nor whether a plan should be made
(``placement.failover``, ``placement.switchover``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

from intelgraph.model.placement import Placement
from intelgraph.plans.plan import RecordedPlan
from intelgraph.plans.table import ActionType, AtBound, Bound, Role, Table

CLOSE = ActionType(
    name="close",
    role=Role.SOURCE,
    needs="the target has a lease",
    effect="writing has ended at the source, for good in this epoch; the last position is noted",
)
CATCH_UP = ActionType(
    name="catch_up",
    role=Role.TARGET,
    needs="the target holds everything up to that position",
    effect="nothing: it was waited for",
    bound=Bound(field="catch_up_s_max", then=AtBound.GIVE_UP, waiting="catching_up", late="not_caught_up"),
)
RAISE = ActionType(
    name="raise",
    role=Role.TARGET,
    needs="the target may open; a failover's home has not renewed; a new standby has a lease",
    effect="the placement is in its next epoch, in the same compare-and-set as the plan's move",
    commits=True,
)
GATHER = ActionType(
    name="gather",
    role=Role.TARGET,
    needs="what the survivors hold of the old home's stream beyond what is here has been fetched",
    effect="nothing: it was waited for",
    bound=Bound(field="gather_s_max", then=AtBound.GO_ON, waiting="gathering"),
)
OPEN = ActionType(
    name="open",
    role=Role.TARGET,
    needs="nothing",
    effect="the epoch's first row, with its cut, is in the log of the new home",
    bound=Bound(field="unopened_s_max", then=AtBound.TAKE_BACK),
)
REOPEN = ActionType(
    name="reopen",
    role=Role.SOURCE,
    needs="nothing",
    effect="a close in this epoch is undone, unless a later epoch has done that",
)


class Kind(Enum):
    """Why a placement changes."""

    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    FAILBACK = "failback"
    RESTAND = "restand"


_PLANNED = (CLOSE, CATCH_UP, RAISE, OPEN)
TABLES: Mapping[str, Table] = {
    kind.value: Table(kind=kind.value, actions=actions, undo=(REOPEN,))
    for kind, actions in (
        (Kind.FAILOVER, (RAISE, GATHER, OPEN)),
        (Kind.SWITCHOVER, _PLANNED),
        (Kind.FAILBACK, _PLANNED),
        (Kind.RESTAND, (RAISE, OPEN)),
    )
}


@dataclass(frozen=True, kw_only=True)
class Plan(RecordedPlan):
    """How ``before`` becomes ``after``.

    ``lease_version``: of a failover, the version of the old home's lease that was watched until it was over.
    """

    tables: ClassVar[Mapping[str, Table]] = TABLES

    kind: Kind
    before: Placement
    after: Placement
    lease_version: int | None = None
    granted: Placement | None = None
    """The placement in whose epoch writes were last granted, when ``before`` itself was raised but never opened."""
    force: bool = False
    """An operator accepts that rows may be missing at the target: they are cut off, and salvage decides about them."""

    def __post_init__(self) -> None:
        if self.before.id != self.after.id or self.after.epoch != self.before.epoch + 1:
            raise ValueError(f"a plan raises one placement's epoch by one, not {self.before} to {self.after}")

    @property
    def source(self) -> str:
        """The region that wrote before."""
        return self.before.home

    @property
    def target(self) -> str:
        """The region that is to write."""
        return self.after.home

    def region_of(self, role: Role) -> str:
        """Name the region that has a role in this plan."""
        return {Role.SOURCE: self.source, Role.TARGET: self.target}[role]

    @property
    def summary(self) -> str:
        """What the plan makes of which placement, in a few words."""
        before, after = self.before, self.after
        return f"{self.kind.value} of {before.id} from {before.home} to {after.home}, epoch {after.epoch}"

    @property
    def last_position(self) -> str:
        """``life/position``, what ``close`` returned; empty before that."""
        return self.results.get(CLOSE.name, "")

    @property
    def last_granted(self) -> Placement:
        """The placement in whose epoch writes were granted last, while this plan has not finished."""
        return self.granted or self.before

    @property
    def stays_at_home(self) -> bool:
        """Whether every epoch since writes were granted last has the same home, whose grants may therefore last."""
        homes = {self.before.home, self.after.home} if self.has_committed else {self.before.home}
        return homes == {self.last_granted.home}

    @property
    def instead(self) -> Plan | None:
        """What has to be done when this is given up before its ``raise`` and was to replace an unopened epoch: open it.

        Without it nobody would: the plan that raised that epoch is gone.
        """
        if self.granted is None:
            return None
        kind = Kind.RESTAND if self.granted.home == self.before.home else Kind.FAILOVER
        return Plan(
            id=f"{self.before.id}/{self.before.epoch}/{kind.value}#after-all",
            kind=kind,
            before=replace(self.granted, epoch=self.before.epoch - 1),
            after=self.before,
            granted=self.granted,
            next=1,
            force=self.force,
        )


def is_open(placement: Placement, plan: Plan | None) -> bool:
    """Say whether writes may be granted in the placement's epoch: not while its plan still has to open it.

    So nothing was ever acknowledged in an epoch whose plan is at ``open``, and whoever had all of the epoch before has
    all there is. Nor was it in one that a plan was to replace before it had been opened. Of a placement that was read
    before its plan changed it nobody can tell.
    """
    if plan is None:
        return True
    if is_past(placement, plan):
        return False
    if plan.before.epoch == placement.epoch:
        return plan.granted is None
    return plan.after.epoch != placement.epoch or plan.abandoned is not None or plan.current is None


def is_past(placement: Placement, plan: Plan | None) -> bool:
    """Say whether the placement has gone on since it was read: its plan, read after it, tells of a later epoch.

    Nothing follows from such a pair: neither that an epoch is open, nor that a close has outlived its plan.
    """
    if plan is None:
        return False
    return (plan.after if plan.has_committed else plan.before).epoch > placement.epoch


def is_under_way(placement: Placement, plan: Plan | None) -> bool:
    """Say whether something of a plan is still to be done: not when the placement has gone on without its rest."""
    if plan is None or plan.current is None:
        return False
    last = plan.before if plan.abandoned is not None else plan.after
    return last.epoch >= placement.epoch
