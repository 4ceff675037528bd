"""What each action of a placement's plan does. One action, one function, one line in ``MOVES``.

Guarantees: every effect may be had again without harm. Its plan is moved on elsewhere (``control.plans.execution``),
by compare-and-set only. Whether an action is due is not decided here (``placement.resuming``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from intelgraph.control.agent.observer.own_session import Asking
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.plans import Joined, changing
from intelgraph.control.plans.execution import Due, Effects, Outcome
from intelgraph.control.store.keys import LEASES
from intelgraph.model.errors import Denied, Fact, PermanentError
from intelgraph.placement.plan import CATCH_UP, CLOSE, GATHER, OPEN, RAISE, REOPEN, TABLES, Plan


class Opener(Protocol):
    """What opens epochs in the region's own database."""

    async def open_epoch(self, record: PlacementRecord, *, force: bool) -> object:
        """Open the placement's epoch; raises why it cannot be opened."""
        ...


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the effects work with: the placement as it was read with its plan, and the region's own database."""

    placement: PlacementRecord
    database: Asking
    opener: Opener


class _Answer(msgspec.Struct, kw_only=True):
    status: str
    last_position: str | None = None
    code: str = "refused"
    reason: str = ""
    facts: dict[str, Fact] = {}


async def _close(due: Due[Plan], work: Work) -> Outcome:
    placement = due.plan.before
    told = await _ask(work.database, "select ig.close($1, $2)::text", placement.id, placement.epoch)
    return Outcome(result=told.last_position)


async def _waited(due: Due[Plan], work: Work) -> Outcome:
    """Nothing is left to do: what was waited for was here before the action was due."""
    return Outcome()


async def _raise(due: Due[Plan], work: Work) -> Outcome | None:
    plan = due.plan
    if work.placement.placement != plan.before:
        return None
    joined = changing(work.placement, plan.after)
    if plan.lease_version is not None:
        joined = Joined(expected={**joined.expected, LEASES + plan.source: plan.lease_version}, writes=joined.writes)
    return Outcome(joined=joined)


async def _open(due: Due[Plan], work: Work) -> Outcome | None:
    if work.placement.placement.epoch != due.plan.after.epoch:
        return None  # it was read before the raise: its epoch is open, and this one would be taken to be
    await work.opener.open_epoch(work.placement, force=due.plan.force)
    return Outcome()


async def _reopen(due: Due[Plan], work: Work) -> Outcome:
    await reopen(work.database, due.plan.before.id, due.plan.before.epoch)
    return Outcome()


async def reopen(database: Asking, placement: str, epoch: int) -> None:
    """Undo a close, if its epoch is still the one in force; a later one has undone it already."""
    try:
        await _ask(database, "select ig.reopen($1, $2)::text", placement, epoch)
    except PermanentError as error:
        if error.denied.code not in ("fenced", "not_home", "unknown_placement"):
            raise


MOVES: Effects[Plan, Work] = Effects(
    TABLES.values(),
    {
        CLOSE: _close,
        CATCH_UP: _waited,
        RAISE: _raise,
        GATHER: _waited,
        OPEN: _open,
        REOPEN: _reopen,
    },
)


async def _ask(database: Asking, statement: str, *arguments: object) -> _Answer:
    told = msgspec.json.decode(await database.ask(statement, *arguments), type=_Answer)
    if told.status == "refused":
        raise PermanentError(Denied(code=told.code, reason=told.reason, facts=told.facts))
    return told
