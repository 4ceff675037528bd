"""Acting: how each action of a plan is done, and how a plan moves on. One action, one function, one line in ``DO``.

Guarantees: every action may be done again without harm, and its plan moves on by compare-and-set only; so an agent
that is killed anywhere, or two that believe they have the turn, do no more than one that was not. Whether an action is
due is not decided here (``placement.resuming``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import msgspec

from intelgraph.control.agent.controller.opening import Openings
from intelgraph.control.agent.observer.own_database import OwnDatabase
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.plans import PlanRecord, Times, finished, move, wall_now
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import Denied, Fact, PermanentError
from intelgraph.placement.plan import Do, Plan


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What an action works on: the plan and its placement as they were read, the region's own database, the store."""

    store: ControlStore
    database: OwnDatabase
    openings: Openings
    placement: PlacementRecord
    record: PlanRecord
    plan: Plan
    times: Times
    took_s: Callable[[], float | None]
    """Tells how long ago the plan was decided, if this process decided it or saw it being recorded."""


class _Answer(msgspec.Struct, kw_only=True):
    status: str
    last_position: str | None = None
    code: str = "refused"
    reason: str = ""
    facts: dict[str, Fact] = {}


async def act(turn: Turn) -> bool:
    """Do the action whose turn it is and move the plan on; returns whether the plan stood as it was read.

    Raises the database's refusal, or why it could not be asked: then nothing has moved, and it is tried again.
    """
    action = turn.plan.turn
    assert action is not None
    return await DO[action.do](turn)


async def _close(turn: Turn) -> bool:
    placement = turn.plan.before
    told = await _ask(turn.database, "select ig.close($1, $2)::text", placement.id, placement.epoch)
    return await _moved(turn, last_position=told.last_position)


async def _catch_up(turn: Turn) -> bool:
    return await _moved(turn)  # that everything is here was seen before it was this action's turn to be done


async def _raise(turn: Turn) -> bool:
    if turn.placement.placement != turn.plan.before:
        return False
    times = replace(turn.times, raised_at=wall_now())
    return await move(turn.store, turn.record, turn.plan.moved(), times, raises=turn.placement)


async def _gather(turn: Turn) -> bool:
    return await _moved(turn)  # what could be fetched has been (``control.gathering``)


async def _open(turn: Turn) -> bool:
    if turn.placement.placement.epoch != turn.plan.after.epoch:
        return False  # it was read before the raise: its epoch is open, and this one would be taken to be
    await turn.openings.open_epoch(turn.placement, force=turn.plan.force)
    times = finished(replace(turn.times, opened_at=wall_now(), took_s=turn.took_s()))
    return await _moved(turn, times=times)


async def _reopen(turn: Turn) -> bool:
    await reopen(turn.database, turn.plan)
    return await _moved(turn, times=finished(turn.times))


async def reopen(database: OwnDatabase, plan: Plan) -> None:
    """Undo a close, if its epoch is still the one in force; a later one has undone it already."""
    await reopen_epoch(database, plan.before.id, plan.before.epoch)


async def reopen_epoch(database: OwnDatabase, placement: str, epoch: int) -> None:
    """Undo a close of one epoch."""
    try:
        await _ask(database, "select ig.reopen($1, $2)::text", placement, epoch)
    except PermanentError as error:
        if error.denied.code not in ("fenced", "not_home", "unknown_placement"):
            raise


DO: Mapping[Do, Callable[[Turn], Awaitable[bool]]] = {
    Do.CLOSE: _close,
    Do.CATCH_UP: _catch_up,
    Do.RAISE: _raise,
    Do.GATHER: _gather,
    Do.OPEN: _open,
    Do.REOPEN: _reopen,
}


async def _moved(turn: Turn, *, last_position: str | None = None, times: Times | None = None) -> bool:
    plan = turn.plan.moved(last_position=last_position)
    return await move(turn.store, turn.record, plan, times or turn.times)


async def _ask(database: OwnDatabase, statement: str, *arguments: object) -> _Answer:
    told = msgspec.json.decode(await database.ask(statement, *arguments), type=_Answer)
    if told.status == "refused":
        raise PermanentError(Denied(code=told.code, reason=told.reason, facts=told.facts))
    return told
