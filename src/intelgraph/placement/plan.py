"""Plans: what is done, in which order, by whom, when a placement's home, standby or durability changes.

The table ``ACTIONS`` is the whole machine; docs/control.md says why in this order. A plan is data: it is recorded in
the control store before its first action, and whoever resumes it needs nothing else. How an action is done does not
belong here (``control.acting``), nor whether a plan should be made (``placement.failover``, ``placement.switchover``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from intelgraph.model.errors import Denied
from intelgraph.model.placement import Placement


class Kind(Enum):
    """Why a placement changes."""

    FAILOVER = "failover"
    SWITCHOVER = "switchover"
    FAILBACK = "failback"
    RESTAND = "restand"


class Do(Enum):
    """What one action does. Each may be done again without harm."""

    CLOSE = "close"  # end writing at the source, for good in this epoch; note the last position
    CATCH_UP = "catch_up"  # wait until the target holds everything up to that position
    RAISE = "raise"  # one compare-and-set: the placement's next epoch, and this plan's next action
    GATHER = "gather"  # fetch from the survivors what they hold of the old home's stream beyond what is here
    OPEN = "open"  # write the epoch's first row with its cut at the new home
    REOPEN = "reopen"  # undo a close: the plan was abandoned before it raised the epoch


class At(Enum):
    """Which of a plan's regions does an action."""

    SOURCE = "source"
    TARGET = "target"


ACTIONS: Mapping[Kind, tuple[tuple[Do, At], ...]] = {
    Kind.FAILOVER: ((Do.RAISE, At.TARGET), (Do.GATHER, At.TARGET), (Do.OPEN, At.TARGET)),
    Kind.SWITCHOVER: ((Do.CLOSE, At.SOURCE), (Do.CATCH_UP, At.TARGET), (Do.RAISE, At.TARGET), (Do.OPEN, At.TARGET)),
    Kind.FAILBACK: ((Do.CLOSE, At.SOURCE), (Do.CATCH_UP, At.TARGET), (Do.RAISE, At.TARGET), (Do.OPEN, At.TARGET)),
    Kind.RESTAND: ((Do.RAISE, At.TARGET), (Do.OPEN, At.TARGET)),
}
ABANDONED: tuple[tuple[Do, At], ...] = ((Do.REOPEN, At.SOURCE),)
"""What is left to do of a plan that is given up before its ``raise``."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One step: its id is unique among all plans, so that a log or a test can name it."""

    id: str
    do: Do
    region: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How ``before`` becomes ``after``. ``next`` is the index of the action that is to be done; at the end it is done.

    ``lease_version``: of a failover, the version of the old home's lease that was watched until it was over.
    ``last_position``: ``life/position``, what ``close`` returned.
    """

    id: str
    kind: Kind
    before: Placement
    after: Placement
    lease_version: int | None = None
    next: int = 0
    last_position: str | None = None
    abandoned: Denied | None = None
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

    @property
    def actions(self) -> tuple[Action, ...]:
        """Every action, in order."""
        return tuple(self._action(number) for number in range(len(self._table)))

    @property
    def _table(self) -> tuple[tuple[Do, At], ...]:
        return ACTIONS[self.kind] if self.abandoned is None else ABANDONED

    def _action(self, number: int) -> Action:
        do, at = self._table[number]
        region = self.source if at is At.SOURCE else self.target
        return Action(id=f"{self.id}/{number}-{do.value}", do=do, region=region)

    @property
    def turn(self) -> Action | None:
        """The action that is to be done now; none when the plan is finished."""
        return self._action(self.next) if self.next < len(self._table) else None

    @property
    def has_raised(self) -> bool:
        """Whether the placement's epoch has been raised: from then on the plan can only be completed or overtaken."""
        return self.abandoned is None and any(
            do is Do.RAISE and number < self.next for number, (do, _) in enumerate(self._table)
        )

    @property
    def last_granted(self) -> Placement:
        """The placement in whose epoch writes were granted last, while this plan has not finished."""
        return self.granted or self.before

    @property
    def stays_at_home(self) -> bool:
        """Whether every epoch since writes were granted last has the same home, whose grants may therefore last."""
        homes = {self.before.home, self.after.home} if self.has_raised else {self.before.home}
        return homes == {self.last_granted.home}

    @property
    def opens_after_all(self) -> Plan | None:
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

    def moved(self, *, last_position: str | None = None) -> Plan:
        """Return the plan after its turn's action was done."""
        if self.next >= len(self._table):
            raise ValueError(f"plan {self.id} is finished")
        return replace(self, next=self.next + 1, last_position=last_position or self.last_position)

    def given_up(self, why: Denied) -> Plan:
        """Return the plan as it is when it is abandoned before its ``raise``."""
        if self.has_raised or self.abandoned is not None:
            raise ValueError(f"plan {self.id} cannot be given up any more")
        return replace(self, abandoned=why, next=0)


def is_open(placement: Placement, plan: Plan | None) -> bool:
    """Say whether writes may be granted in the placement's epoch: not while its plan still has to open it.

    So nothing was ever acknowledged in an epoch whose plan stands at ``open``, and whoever had all of the epoch
    before has all there is. Nor was it in one that a plan was to replace before it had been opened.
    """
    if plan is None:
        return True
    if plan.before.epoch == placement.epoch:
        return plan.granted is None
    return plan.after.epoch != placement.epoch or plan.abandoned is not None or plan.turn is None


def is_under_way(placement: Placement, plan: Plan | None) -> bool:
    """Say whether something of a plan is still to be done: not when the placement has gone on without its rest."""
    if plan is None or plan.turn is None:
        return False
    last = plan.before if plan.abandoned is not None else plan.after
    return last.epoch >= placement.epoch
