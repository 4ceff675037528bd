"""Twelve mistakes, each of its own kind, as somebody might make them."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from intelgraph.api.write.granted import GrantedLease
from intelgraph.control.agent.controller import acting, salvage_loop, salvaging
from intelgraph.control.agent.controller.salvage_pass import SalvagePass
from intelgraph.control.agent.leases import keeper
from intelgraph.control.agent.leases.disk_room import RoomyHeartbeat
from intelgraph.control.agent.leases.keeper import Beat
from intelgraph.control.agent.observer.own_session import Asking
from intelgraph.control.directory import plans
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.plans import Joined, PlanRecord, Times
from intelgraph.control.plans import execution
from intelgraph.control.plans.execution import Due, Outcome
from intelgraph.control.store.protocol import ControlStore
from intelgraph.placement import failover, observation, resuming, standby
from intelgraph.placement.fitness import caught_up
from intelgraph.placement.observation import Observation, Own
from intelgraph.placement.plan import OPEN, Plan
from intelgraph.placement.view import View
from intelgraph.simulator import session
from intelgraph.simulator.region import Region

Planting = Callable[[], Any]
"""Returns a context in which the mistake is there."""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake: what it is, where it is planted, and the test that finds it if no schedule is sure to."""

    name: str
    place: str
    plant: Planting
    unit_test: str = ""


@contextmanager
def _instead(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    right = owner.__dict__[name]
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


@contextmanager
def _entry(table: Any, key: Any, wrong: Any) -> Iterator[None]:
    right = table[key]
    table[key] = wrong
    try:
        yield
    finally:
        table[key] = right


# ------------------------------------------------------------------------------------------------------- the twelve


@contextmanager
def stale_read_before_an_opening() -> Iterator[None]:
    """The epoch of a placement is held against its plan's nowhere: it may have been read before."""

    async def opens(due: Due[Plan], work: acting.Work) -> Outcome:
        await work.opener.open_epoch(work.placement, force=due.plan.force)
        return Outcome()

    with _entry(acting.MOVES._lines, OPEN, opens), _instead(resuming, "is_past", lambda placement, plan: False):
        yield


def no_lease_check_after_the_commit() -> Any:
    return _instead(GrantedLease, "may_acknowledge", lambda self, placement, epoch: True)


def renewal_without_the_heartbeat() -> Any:
    right: Callable[..., Awaitable[Beat]] = RoomyHeartbeat.beat
    told: dict[str, Beat] = {}

    async def beat(self: RoomyHeartbeat, term: str, counter: int) -> Beat:
        if term not in told:
            told[term] = await right(self, term, counter)
        return told[term]

    return _instead(RoomyHeartbeat, "beat", beat)


def grant_while_the_plan_is_unfinished() -> Any:
    return _instead(keeper, "is_open", lambda placement, plan: True)


def own_silence_counted_against_others() -> Any:
    return _instead(observation, "STEP_S_MAX", math.inf)


def plan_moved_without_compare_and_set() -> Any:
    right = plans.move

    async def move(
        store: ControlStore, before: PlanRecord, plan: Plan, times: Times, joined: Joined | None = None
    ) -> bool:
        joined = joined or Joined()
        now = (await store.read([before.key, *joined.expected])).entries
        before = replace(before, version=now[before.key].version)
        joined = replace(joined, expected={key: now[key].version for key in joined.expected})
        return await right(store, before, plan, times, joined)

    return _instead(execution, "move", move)


def standby_taken_without_its_position_known() -> Any:
    """What the standby may lack is not asked: neither whether it has heard of the epoch, nor how far it is behind."""
    return _instead(failover, "_lacks", lambda view: None)


def steadiness_skipped() -> Any:
    def is_steady(view: View, region: str, policy: Any) -> bool:
        return caught_up(view, region, policy) is None

    return _instead(standby, "_is_steady", is_steady)


def cut_computed_before_the_lock() -> Any:
    async def opens(region: Region, record: PlacementRecord, force: bool) -> str:
        placement, database, world = record.placement, region.database, region.world
        cut = database.cut(placement.id)
        await asyncio.sleep(session.CALL_S)
        await session._locked(region, placement.id)
        row, code = database.open(placement, cut, world.universe.now, force=force)
        if row is None:
            return session._refused(code)
        if code == "ok":
            world.promises.opening(region, placement, row)
            world.replication.kick(region)
        return json.dumps({"status": code, "bookmark": ""})

    return _instead(session, "open_epoch", opens)


def taken_back_plan_never_opened() -> Any:
    return _instead(Plan, "instead", None)


def salvage_over_newer_data() -> Any:
    """Whatever lies beyond a cut is adopted, although what it wrote may have been written since."""

    async def salvage_page(database: Asking, placement: str, stands: SalvagePass) -> salvaging.Salvaged:
        page = await salvaging.page_of(database, placement, after=stands.after, objects_max=200)
        rows = [row.name for row in page.rows]
        if rows:
            await database.ask("select ig.adopt($1, $2, $3)::text", placement, salvaging._rows(rows), "all of it")
        return salvaging.Salvaged(adopted=len(rows), tried=bool(rows), next=page.next)

    return _instead(salvage_loop, "salvage_page", salvage_page)


def drained_region_chosen() -> Any:
    right: Callable[..., View] = Observation.view

    def view(self: Observation, name: str, own: Own, now_s: float) -> View:
        return replace(right(self, name, own, now_s), drained=frozenset())

    return _instead(Observation, "view", view)


@contextmanager
def _both(*contexts: Any) -> Iterator[None]:
    first, second = contexts
    with first, second:
        yield


MISTAKES: Sequence[Mistake] = (
    Mistake(
        name="stale read before an epoch's opening",
        place="controller/acting.py `_open`, placement/plan.py `is_past`",
        unit_test="tests/control/test_acting.py::"
        "test_an_epoch_is_not_opened_with_a_placement_that_was_read_before_its_raise",
        plant=stale_read_before_an_opening,
    ),
    Mistake(
        name="a lease check left out after the commit",
        place="api/write/granted.py `may_acknowledge`",
        plant=no_lease_check_after_the_commit,
    ),
    Mistake(
        name="renewal without the heartbeat", place="leases/disk_room.py `beat`", plant=renewal_without_the_heartbeat
    ),
    Mistake(
        name="a grant given while the plan is unfinished",
        place="leases/keeper.py `_epochs`",
        plant=grant_while_the_plan_is_unfinished,
    ),
    Mistake(
        name="an observer that counts its own silence against others",
        place="placement/observation.py `STEP_S_MAX`",
        plant=own_silence_counted_against_others,
        unit_test="tests/placement/test_observation.py::test_one_s_own_pause_counts_against_nobody",
    ),
    Mistake(
        name="a plan moved without compare-and-set",
        place="directory/plans.py `move`",
        plant=plan_moved_without_compare_and_set,
    ),
    Mistake(
        name="the standby taken without its position known",
        place="placement/failover.py `_lacks`",
        plant=standby_taken_without_its_position_known,
        unit_test="tests/placement/test_failover.py::test_a_home_placement_moves_within_its_rpo_and_not_beyond_it",
    ),
    Mistake(name="two-region steadiness skipped", place="placement/standby.py `_is_steady`", plant=steadiness_skipped),
    Mistake(
        name="the cut computed before the lock",
        place="`ig.open`, in its model (simulator/session.py `open_epoch`)",
        plant=cut_computed_before_the_lock,
        unit_test="tests/simulator/test_database.py::test_an_opening_waits_for_who_writes_and_its_cut_holds_what_they_wrote",
    ),
    Mistake(
        name="a taken-back plan whose epoch is never opened",
        place="placement/plan.py `instead`",
        plant=taken_back_plan_never_opened,
        unit_test="tests/placement/test_resuming.py::TestOfATakeBackThatIsGivenUp",
    ),
    Mistake(
        name="salvage adopting over newer data",
        place="controller/salvaging.py `salvage_page`",
        plant=salvage_over_newer_data,
    ),
    Mistake(
        name="a drained region chosen as target",
        place="placement/observation.py `view`",
        plant=drained_region_chosen,
    ),
)
BY_NAME: Mapping[str, Mistake] = {each.name: each for each in MISTAKES}
