"""What each action of a plan does, as docs/control.md says: to the store and to the region's own database.

Between any two steps the agent may die (`_may_die`): a fault names the place by counting them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from intelgraph.changelog.model.log import Identity, Kind, Row, classify
from intelgraph.changelog.salvage_policy import Inert, SalvageClass, salvage
from intelgraph.control.simulator.engine import Engine, Steps
from intelgraph.control.simulator.network import Store
from intelgraph.control.simulator.promises import Promises, brief
from intelgraph.control.simulator.region import Entry, Region
from intelgraph.control.simulator.replication import Replication
from intelgraph.placement import resuming
from intelgraph.placement.plan import CLOSE, OPEN, RAISE, REOPEN, Plan
from intelgraph.placement.view import View
from intelgraph.plans.step import DoIt, GiveUp, Replace
from intelgraph.plans.table import ActionType

if TYPE_CHECKING:
    from intelgraph.control.simulator.agent import Agent

Done = Generator[float | None, None, bool]
LOCK_S = 0.003


class Acting:
    """The hands of every agent."""

    def __init__(self, engine: Engine, store: Store, replication: Replication, promises: Promises) -> None:
        self.engine = engine
        self.store = store
        self.replication = replication
        self.promises = promises
        self.die: Callable[[Region], None] = lambda region: None
        self.died: Callable[[Region], None] = lambda region: None
        self.note: Callable[[str], None] = lambda action: None

    # ------------------------------------------------------------------------------------------------ recording

    def record(self, agent: Agent, region: Region, versions: dict[str, int], plan: Plan) -> Done:
        """Record a plan in the place of what was viewed."""
        yield from self._may_die(region)
        key = f"plans/{plan.before.id}"
        recorded = yield from self.store.compare_and_set(region, versions, {key: plan})
        if recorded:
            self.promises.decided(plan, agent.read_s)
            self.engine.say(region.name, f"records {plan.id}: {plan.source} to {plan.target}, {described(plan)}")
            self.note(f"record {plan.kind.value}")
        yield from self._may_die(region)
        return True

    def carry_out(
        self, agent: Agent, region: Region, view: View, versions: dict[str, int], step: resuming.Step
    ) -> Done:
        """Do what is next with a plan; says whether to look again at once."""
        match step:
            case GiveUp(plan=plan, why=why):
                self.engine.say(region.name, why.reason)
                return (yield from self.record(agent, region, versions, plan))
            case Replace(plan=plan):
                return (yield from self.record(agent, region, versions, plan))
            case resuming.Fetch(beyond=beyond):
                yield from self._fetch(region, view, tuple(beyond))
                return True
            case DoIt(action=action, plan=plan):
                yield from self._may_die(region)
                return (yield from self._do(agent, region, versions, action.type, plan, view))
            case _:
                return False

    def _may_die(self, region: Region) -> Steps:
        if region.doomed:
            region.doomed -= 1
            if not region.doomed:
                self.died(region)
                self.die(region)
                yield None

    # -------------------------------------------------------------------------------------------------- the actions

    def _do(
        self, agent: Agent, region: Region, versions: dict[str, int], do: ActionType, plan: Plan | None, view: View
    ) -> Done:
        name = view.placement.id
        if plan is None:
            region.reopen(name, view.placement.epoch)
            self.engine.say(region.name, f"reopens {name}: a close was left over")
            return True
        if do is RAISE:
            return (yield from self._raise(region, versions, plan))
        last_position = None
        if do in (CLOSE, OPEN):
            yield from self._alone(region, name)
        if do is CLOSE:
            position = region.close(name, plan.before.epoch)
            if position is None:
                return False
            last_position = f"1/{position}"
        elif do is REOPEN:
            region.reopen(name, plan.before.epoch)
        elif do is OPEN:
            row = region.open(plan.after, self.engine.now, force=plan.force)
            if not isinstance(row, Row):
                self.engine.say(region.name, f"cannot open {name}: {row}")
                return False
            self.promises.opening(region, plan, row)
            self.replication.kick(region)
        self.engine.say(
            region.name, f"{do.name} of {plan.id}" + (f": last position {last_position}" if last_position else "")
        )
        yield from self._may_die(region)
        moved = plan.moved(result=last_position)
        key = f"plans/{name}"
        finished = yield from self.store.compare_and_set(region, {key: versions[key]}, {key: moved})
        if do is OPEN and finished and agent.renewer is not None:
            self.engine.wake(agent.renewer)
        self.note(f"{do.name} {plan.kind.value}")
        yield from self._may_die(region)
        return True

    def _raise(self, region: Region, versions: dict[str, int], plan: Plan) -> Done:
        """One compare-and-set: the placement, the plan, and for a failover the old home's lease as it was watched."""
        expected = self.expected(versions, plan)
        name = plan.after.id
        moved = plan.moved()
        raised = yield from self.store.compare_and_set(
            region, expected, {f"placements/{name}": plan.after, f"plans/{name}": moved}
        )
        if raised:
            self.engine.say(region.name, f"raise of {plan.id}: epoch {plan.after.epoch}, home {plan.target}")
            self.note(f"raise {plan.kind.value}")
        yield from self._may_die(region)
        return True

    def expected(self, versions: dict[str, int], plan: Plan) -> dict[str, int]:
        """What must not have changed for the epoch to be raised."""
        lease = {} if plan.lease_version is None else {f"leases/{plan.source}": plan.lease_version}
        return {**versions, **lease}

    def _alone(self, region: Region, placement: str) -> Steps:
        """Take the placement's lock: wait until nobody is writing."""
        yield LOCK_S
        while region.holds[placement].in_flight or region.disk_full:
            yield LOCK_S

    def salvage(self, region: Region, placement: str) -> None:
        """Decide by policy about inert rows, at the home; an adopted row goes along with the decision."""
        held = region.holds[placement]
        is_closed = held.closed is not None and held.closed[0] == held.epoch
        if len(held.known.rows) == len(held.known.accepted) or held.gap is not None or is_closed:
            return
        rows = held.known.rows
        classes = classify(held.known.holding.read)
        inert = [
            Inert(
                row=(identity.origin, identity.life, identity.position),
                epoch=rows[identity].epoch,
                tenant=placement,
                key=str(rows[identity].key),
                kind=SalvageClass(found.value),
            )
            for identity, found in classes.items()
        ]
        round_ = salvage(inert)
        for kind, chosen in ((Kind.ADOPT, round_.adopt), (Kind.REJECT, round_.reject)):
            if chosen:
                self._decide(region, placement, kind, frozenset(Identity(*one) for one in chosen))

    def _decide(self, region: Region, placement: str, kind: Kind, named: frozenset[Identity]) -> None:
        held = region.holds[placement]
        opening = held.opening
        if opening is None or opening.opening is None or opening.identity.origin != region.name:
            return
        self.promises.salvaged(region, placement, kind, named)
        if kind is Kind.ADOPT:
            for identity in sorted(named):
                region.log.append(Entry(self.engine.now, held.known.rows[identity], region.own_settled()))
        position = region.draw()
        row = Row(
            identity=Identity(region.name, 1, position),
            epoch=opening.epoch,
            kind=kind,
            digest=position,
            tenant=placement,
            replicate_to=opening.opening.regions,
            named=named,
        )
        region.commit(placement, row, self.engine.now)
        self.replication.kick(region)
        self.engine.say(region.name, f"{kind.value}s {brief(named)}, which was beyond the cut")
        self.note(kind.value)

    def _fetch(self, region: Region, view: View, survivors: tuple[str, ...]) -> Steps:
        """Ask the survivors for what they hold beyond what is here."""
        network = self.replication.network
        for name in survivors:
            other = self.replication.regions[name]
            yield network.latency_s(region.name, name) * 2
            if (
                other.up
                and not other.paused
                and network.carries(name, region.name)
                and network.carries(region.name, name)
            ):
                theirs = other.holds[view.placement.id]
                if theirs.gap is None:
                    held = region.holds[view.placement.id]
                    for row in list(theirs.known.rows.values()):
                        if row.identity not in held.known.rows:
                            self.replication.arrive(region, row)
                    for origin, position in other.settled.items():
                        held.fetched[origin] = max(position, held.fetched.get(origin, 0))
                self.engine.say(region.name, f"gathers from {name}")
        yield 0.05


def described(plan: Plan) -> str:
    """Say in words what a plan makes of a placement."""
    after = plan.after
    durability = f"{after.durability.value}, standby {after.standby or 'none'}"
    given_up = " (given up)" if plan.abandoned is not None else ""
    return f"epoch {after.epoch}, {durability}{' degraded' if after.is_degraded else ''}{given_up}"
