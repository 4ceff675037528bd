"""What a region's agent does besides keeping its lease: observe, decide, record, act; again and again.

One loop looks (store and database), asks for each placement what is to be done (``placement.resuming``, then
``failover`` and ``standby``), and starts it as a task of its own, so that one placement never waits for another. It
looks several times a second, at once when the store has news, and more often while a plan is under way. Everything it
knows it can find again; what two processes do at once is decided by compare-and-set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from intelgraph.control.agent.agent import Agent
from intelgraph.control.agent.controller.acting import MOVES, Work, reopen
from intelgraph.control.agent.controller.gathering import Wanted, gather
from intelgraph.control.agent.controller.opening import Openings
from intelgraph.control.agent.controller.ports import Ports
from intelgraph.control.agent.controller.salvage_loop import SalvageLoop
from intelgraph.control.agent.leases.grants import Bound
from intelgraph.control.agent.observer.limits import Limits
from intelgraph.control.agent.observer.observing import Clocks, Known, Observing, read_known
from intelgraph.control.agent.observer.own_database import OwnDatabase
from intelgraph.control.agent.observer.write_prober import WriteProber
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.plans import POLICY, PlanRecord, Times, unchanged, wall_now
from intelgraph.control.directory.reports import Seen
from intelgraph.control.plans.execution import PlanExecutor
from intelgraph.model.errors import Denied, IntelGraphError
from intelgraph.placement import failover, handover, standby
from intelgraph.placement.decision import Start
from intelgraph.placement.plan import Plan
from intelgraph.placement.policy import Policy
from intelgraph.placement.resuming import Fetch, Step, next_step
from intelgraph.placement.view import View
from intelgraph.plans.plan import Action
from intelgraph.plans.step import DoIt, GiveUp, Nothing, Replace, Wait
from intelgraph.runtime.loops import Loop

NOTE_S = 0.5


@dataclass(frozen=True, kw_only=True)
class _Read:
    """What was decided on: whatever is done about it is compared with these versions."""

    view: View
    record: PlanRecord
    placement: PlacementRecord


class RegionHook:
    """The hook of a region's agent."""

    def __init__(self, here: str, ports: Ports, policy: Policy) -> None:
        self._here = here
        self._ports = ports
        self._policy = policy
        self._reaching = ports.reaching()
        self._openings = Openings(ports.opening)
        self._doing: dict[str, asyncio.Task[None]] = {}
        self._noted: dict[str, tuple[int, int]] = {}
        self.stands: dict[str, Denied] = {}
        """By placement: why nothing is done although something would have to be, as last decided."""

    def loops(self, agent: Agent) -> Mapping[str, Loop]:
        """Observe, decide and act; and ask the peers whether they are there."""
        self._agent = agent
        self._plans: PlanExecutor[Plan, Work] = PlanExecutor(agent.store, MOVES, clock=agent.clock)
        self._prober = WriteProber(
            self._ports.edge,
            region=self._here,
            policy=self._policy.write_path,
            clock=agent.clock,
            on_change=agent.report_now,
        )
        self._database = OwnDatabase(self._ports.looks(), region=self._here, clock=agent.clock)
        self.observing = Observing(
            here=self._here,
            watching=agent.watching,
            database=self._database,
            policy=self._policy,
            clocks=Clocks(agent.clock, self._ports.token_clock),
            own_writes=lambda: self._prober.path,
        )
        self._limits = Limits(
            agent,
            self.observing,
            self._policy,
            self.stands,
            self._prober,
            self._reaching.unreached_s,
        )
        self._salvage = SalvageLoop(agent, self.observing, self._ports.salvage(), self._ports.metrics)
        self._survey = self._ports.survey(agent, self.observing)
        return {
            "act": self._act_always,
            "probe": self._reaching.run,
            "probe writes": self._prober.run,
            "salvage": self._salvage.run,
            "note": self._note_always,
            **self._ports.loops(agent),
        }

    def seen(self) -> Seen:
        """Who was reached, what the own database holds, and what is wrong here."""
        return Seen(
            reached=self._reaching.reached(),
            holding=self.observing.holding(),
            writes=self._prober.path,
            findings=self._survey.findings(self._limits, self.stands, self._salvage.people),
            wall_s=self._ports.wall(),
        )

    def bounds(self) -> Mapping[str, Bound]:
        """Of the placements that this region writes: how far their standby may be behind; which refuse, and why."""
        return self._limits.bounds()

    def limits(self) -> Mapping[str, str]:
        """What the region serves less well than it should."""
        return self._limits.told(self._limits.refusals().values(), self._survey.codes)

    def is_passed_over(self) -> bool:
        """Whether writes fail here, or cannot be handed on."""
        return self._limits.passed_over() is not None

    def gives_up(self) -> Denied | None:
        """Why the lease is not renewed although it could be."""
        return self._limits.gives_up()

    async def _act_always(self) -> None:
        while True:
            changes = self._agent.changes
            known = await self._look()
            for name in self.stands.keys() - known.placements.keys():
                del self.stands[name]  # there is no such placement any more
            for name in known.placements:
                if name not in self._doing:
                    self._begin(name)
            under_way = any(known.is_under_way(name) for name in known.placements)
            await self._agent.changed(self._look_s(under_way=under_way), since=changes)

    def _look_s(self, *, under_way: bool) -> float:
        return self._policy.look_under_way_s if under_way else self._policy.look_s

    async def _look(self) -> Known:
        known, looked = await asyncio.gather(
            read_known(self._agent.store, self.observing.known), self._database.look(), return_exceptions=True
        )
        if isinstance(known, BaseException):
            raise known
        if isinstance(looked, BaseException) and not isinstance(looked, IntelGraphError):
            raise looked
        self.observing.tick(known)
        return known

    async def _note_always(self) -> None:
        """Tell the own database up to where the others have its stream: that is how a key is known to be `remote`."""
        while True:
            own = self.observing.own
            for region, report in self._agent.watching.heard().items():
                if own is None or report.holding is None or region == self._here:
                    continue
                position = report.holding.settled.get(f"{self._here}/{own.life}", 0)
                if self._noted.get(region) != (own.life, position):
                    await self._database.ask("select ig.note_has($1, $2, $3)", region, own.life, position)
                    self._noted[region] = (own.life, position)
            await asyncio.sleep(NOTE_S)

    # -------------------------------------------------------------------------------------------- one placement

    def _begin(self, name: str) -> None:
        """Do what is to be done about one placement now, if anything is."""
        view = self.observing.view(name)
        step = next_step(view, self._policy)
        if isinstance(step, Nothing):
            decided = self._decide(view)
            if decided is None:
                return
            step = Replace(plan=decided)
        if isinstance(step, Wait):
            self._stand(name, step.why)
            return
        read = _Read(
            view=view, record=self.observing.known.plan_of(name), placement=self.observing.known.placements[name]
        )
        task = asyncio.ensure_future(self._do(name, read, step))
        self._doing[name] = task
        task.add_done_callback(lambda _: self._doing.pop(name, None))

    def _decide(self, view: View) -> Plan | None:
        # A home whose lease ends is about to be taken over from: an epoch that it raised could not be opened in time.
        at_home = () if self._agent.not_renewed is not None else (handover.decide, standby.decide)
        for decide in (failover.decide, *at_home):
            decision = decide(view, self._policy)
            if isinstance(decision, Start):
                return decision.plan
            if decision.denied is not None:
                self._stand(view.placement.id, decision.denied)
                return None
        self._stand(view.placement.id, None)
        return None

    async def _do(self, name: str, read: _Read, step: Step) -> None:
        try:
            await self._take(name, read, step)
            if not isinstance(step, Fetch):
                self._stand(name, None)  # what was waited for is here
        except IntelGraphError as error:
            self._stand(name, error.denied)
            await asyncio.sleep(self._policy.look_s)
        except Exception as error:  # a defect of ours: said where people look, and tried again, but not at every look
            reason = f"nothing is done about {name}: {type(error).__name__}: {error}; please report it"
            self._stand(name, Denied(code="internal_error", reason=reason, facts={"placement": name}))
            await asyncio.sleep(POLICY.again_after_defect_s)

    async def _take(self, name: str, read: _Read, step: Step) -> None:
        match step:
            case Replace(plan=plan):
                await self._record(read, plan)
            case GiveUp(plan=plan, why=why):
                if await self._plans.give_up(read.record, step):
                    self._agent.log("plan_given_up", plan=plan.id, code=why.code, reason=why.reason)
            case Fetch(beyond=beyond, within_s=within_s, why=why):
                self._stand(name, why)
                wanted = Wanted(here=self._here, placement=name, beyond=beyond, within_s=within_s)
                reached = await gather(self._database, self._ports.survivors, wanted)
                self.observing.gathered.setdefault(name, {}).update(reached)
            case DoIt(plan=None):
                await reopen(self._database, name, read.view.placement.epoch)
            case DoIt(action=action):
                await self._do_action(read, action)
            case _:
                return

    async def _record(self, read: _Read, plan: Plan) -> None:
        copy = read.view.copies.get(plan.target)
        lost_s = self.observing.home_silent_s(plan.source) if plan.source != plan.target else None
        times = Times(
            decided_at=wall_now(),
            decided_by=self._here,
            behind_s=None if copy is None else copy.behind_s,
            lost_s=lost_s,
        )
        if await self._plans.begin(read.record, plan, times, unchanged(read.placement)):
            self._agent.log(
                "plan_recorded", plan=plan.id, source=plan.source, target=plan.target, epoch=plan.after.epoch
            )

    async def _do_action(self, read: _Read, action: Action) -> None:
        work = Work(placement=read.placement, database=self._database, opener=self._openings)
        now = await self._plans.do(read.record, action, work)
        if now is None:
            return
        self._agent.log("action_done", action=action.id)
        if now.plan is not None and now.times is not None and now.plan.current is None:
            self._ports.metrics.ended(now.plan, now.times)
        self._agent.renew_now()

    def _stand(self, name: str, why: Denied | None) -> None:
        before = self.stands.pop(name, None)
        if why is None:
            return
        self.stands[name] = replace(why, facts={**why.facts, "placement": name})
        if before is None or before.code != why.code:
            self._agent.log("stands", placement=name, code=why.code, reason=why.reason)
