"""A second family of kinds, in tests only: surveys, which measure at the home and are published once.

All that a kind needs is in this file: its actions, its tables, what its plans are about, and its effects. What they
did is noted in ``Ledger``, which a test reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from intelgraph.control.directory.plans import Joined
from intelgraph.control.plans.execution import Due, Effects, Outcome
from intelgraph.plans.plan import RecordedPlan
from intelgraph.plans.table import ActionType, AtBound, Bound, Role, Table

PUBLISHED = "survey-published/"

MEASURE = ActionType(name="measure", role=Role.HOME, needs="nothing", effect="a number is noted")
COMPARE = ActionType(
    name="compare",
    role=Role.STANDBY,
    needs="the standby has the number",
    effect="nothing: it was waited for",
    bound=Bound(field="compare_s_max", then=AtBound.GIVE_UP, waiting="comparing", late="not_compared"),
)
PUBLISH = ActionType(name="publish", role=Role.ANY, needs="nothing", effect="the number is public", commits=True)
SIGN = ActionType(
    name="sign",
    role=Role.OPERATOR,
    needs="nothing",
    effect="a person has signed",
    bound=Bound(field="sign_s_max", then=AtBound.GO_ON),
    told="{executor} signs",
)
WITHDRAW = ActionType(name="withdraw", role=Role.HOME, needs="nothing", effect="the measurement is withdrawn")
FORGET = ActionType(name="forget", role=Role.STANDBY, needs="nothing", effect="the number is forgotten")


class SurveyKind(Enum):
    """What is surveyed."""

    SURVEY = "survey"
    REHEARSAL = "rehearsal"


TABLES: Mapping[str, Table] = {
    table.kind: table
    for table in (
        Table(kind="survey", actions=(MEASURE, COMPARE, PUBLISH, SIGN), undo=(WITHDRAW, FORGET)),
        Table(kind="rehearsal", actions=(MEASURE, COMPARE)),
    )
}


@dataclass(frozen=True, kw_only=True)
class SurveyBounds:
    """For how long its actions may wait."""

    compare_s_max: float = 5.0
    sign_s_max: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Survey(RecordedPlan):
    """A survey of ``about`` between two regions."""

    tables: ClassVar[Mapping[str, Table]] = TABLES

    kind: SurveyKind
    about: str
    home: str
    standby: str

    def region_of(self, role: Role) -> str:
        """Name the region that has a role."""
        return {Role.HOME: self.home, Role.STANDBY: self.standby}[role]

    @property
    def summary(self) -> str:
        """What is surveyed."""
        return f"{self.kind.value} of {self.about}"


@dataclass(kw_only=True)
class Ledger:
    """What the effects have done, in order, and where a test wants to wait or to fail."""

    had: list[str] = field(default_factory=list)
    seen: list[Mapping[str, str]] = field(default_factory=list)
    pause: Callable[[str], Awaitable[None]] | None = None


async def noted(due: Due[RecordedPlan], work: Ledger) -> Outcome:
    """Note that an effect was had."""
    if work.pause is not None:
        await work.pause(due.action.type.name)
    work.had.append(due.action.type.name)
    work.seen.append(due.plan.results)
    if work.pause is not None:
        await work.pause(due.action.type.name)
    return Outcome(result=f"{due.action.type.name} {len(work.had)}")


async def published(due: Due[RecordedPlan], work: Ledger) -> Outcome:
    """Note it, and publish in the same compare-and-set as the move."""
    outcome = await noted(due, work)
    key = PUBLISHED + due.plan.id
    return Outcome(result=outcome.result, joined=Joined(expected={key: 0}, writes={key: b"1"}))


SURVEYS: Effects[Survey, Ledger] = Effects(
    TABLES.values(),
    {
        MEASURE: noted,
        COMPARE: noted,
        PUBLISH: published,
        SIGN: noted,
        WITHDRAW: noted,
        FORGET: noted,
    },
)
