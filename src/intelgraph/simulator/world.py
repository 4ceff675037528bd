"""One schedule's world: everything put together, and the ways in which it can be harmed and healed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from intelgraph.control.directory.placements import PLACEMENTS, encode_placement, placement_from
from intelgraph.control.directory.plans import plan_from
from intelgraph.control.directory.regions import REGIONS, RegionState
from intelgraph.control.directory.reports import WITNESS
from intelgraph.control.store.keys import PLANS
from intelgraph.model.placement import Placement
from intelgraph.placement.plan import Plan
from intelgraph.simulator.clients import Clients
from intelgraph.simulator.network import STORE, Network
from intelgraph.simulator.processes import region_agent, witness_agent
from intelgraph.simulator.promises import Promises
from intelgraph.simulator.region import Region
from intelgraph.simulator.replication import Replication
from intelgraph.simulator.setting import Clock, Setting
from intelgraph.simulator.store import Store, StoreClient
from intelgraph.simulator.virtual_time import Site, Universe
from intelgraph.simulator.worker import Worker

MOMENTARY = ("crash-at", "pause-at", "agent-dies-between")
"""What is counted when it happens, not while it is armed."""
DIGEST_KEY = "00" * 32


class World:
    """Regions, witness, store, links, clients."""

    def __init__(self, setting: Setting, random: Random, told: list[str] | None) -> None:
        self.setting = setting
        self.universe = Universe(random, told=told)
        self.network = Network()
        self.store = Store(self.universe, self.network)
        self.allowed = {one.id: frozenset(one.regions) for one in setting.placements}
        self.regions: dict[str, Region] = {}
        for name in setting.regions:
            self.regions[name] = self._region(name)
        self.promises = Promises(self.universe, self.regions, self.allowed, setting.policy)
        self.store.written = self._stored
        self.store.drains_read_s = self.promises.of_plans.drains_read_s
        self.store.asked_s = self.promises.of_plans.asked_s
        self.replication = Replication(self.universe, self.network, self.regions, self.promises.arrived)
        self.clients = Clients(self.universe, self.network, self.regions, self.promises)
        self.witness = Site(self.universe, WITNESS)
        self.desk = Site(self.universe, "operator")
        self.active: Counter[str] = Counter()
        self.coverage: Counter[tuple[str, str]] = Counter()
        self.armed: dict[str, list[tuple[str, Callable[[], None]]]] = {}
        """By action: the faults that wait for it, and what happens when it has been done."""
        self.doomed: dict[str, int] = {}
        """By region: its agent dies at the so-many-th write of the store from now on."""
        self._terms = 0
        self._steps: dict[str, int] = {}

    def _region(self, name: str) -> Region:
        clock = self.setting.clocks.get(name, Clock(rate=1.0, offset_s=0.0))
        placements = [one.id for one in self.setting.placements if name in one.regions]
        return Region(self, name, placements, rate=clock.rate, offset_s=clock.offset_s)

    def start(self) -> None:
        """Open every placement's first epoch, then let everything run."""
        for placement in self.setting.placements:
            home = self.regions[placement.home].database
            row, _ = home.open(placement, {}, 0.0, force=True)
            assert row is not None
            self.promises.opens[placement.id].append(row)
            for name in placement.regions:
                self.regions[name].database.holds[placement.id].known.arrive(row)
            self.store.put(PLACEMENTS + placement.id, encode_placement(placement, DIGEST_KEY), "outside")
        self.replication.start()
        self.promises.of_plans.health.start()
        for region in self.regions.values():
            self._start(region)
        self.start_agent(self.witness)

    # ------------------------------------------------------------------------------------------- harm and healing

    def _start(self, region: Region) -> None:
        """Start what runs in a region that has just been switched on."""
        loop = region.process("api")
        region.worker = Worker(region, loop, StoreClient(self.store, region.name))
        region.worker.start()
        self.start_agent(region)

    def start_agent(self, site: Site) -> None:
        """Start the next agent process of a site, if it is up and has none."""
        if not site.up or any(loop.group == "agent" for loop in site.loops):
            return
        self._terms += 1
        loop = site.process("agent")
        if isinstance(site, Region):
            agent = region_agent(site, loop, f"t{self._terms}")
            if site.worker is not None:
                site.worker.agent = (loop, agent)
        else:
            agent = witness_agent(site, loop, self.store, self.setting)
        loop.call_later(self.universe.random.random() * 0.2, lambda: loop.run(agent.run()))

    def agent_dies(self, region: Region, back_s: float = 1.0) -> None:
        """An agent is killed; it is started again."""
        self.universe.say(region.name, "its agent dies")
        region.kill("agent")
        self.universe.after(back_s, self.start_agent, region)

    def crash(self, region: Region) -> None:
        """Every process of a region is gone; its database keeps what was committed."""
        self.universe.say(region.name, "crashes")
        region.up = region.paused = False
        region.stalled.clear()
        region.kill()
        region.worker = None
        for held in region.database.holds.values():
            held.let_go()

    def restart(self, region: Region) -> None:
        """A region that crashed is started."""
        if region.up:
            return
        self.universe.say(region.name, "is started")
        region.up = True
        region.booted_s = self.universe.now
        self._start(region)

    def pause(self, site: Site) -> None:
        """Nothing of a site runs."""
        self.universe.say(site.name, "is paused")
        site.paused = True

    def go_on(self, site: Site) -> None:
        """A paused site goes on where it was."""
        if site.paused:
            self.universe.say(site.name, "goes on")
            site.go_on()

    def others(self, name: str) -> tuple[str, ...]:
        """Every end of a link but one."""
        return tuple(one for one in (*self.regions, WITNESS, STORE) if one != name)

    def heal(self) -> None:
        """End every fault."""
        self.universe.say("all", "everything is healed")
        self.network.cuts.clear()
        self.network.slow_s.clear()
        self.store.down = False
        self.store.slow_s = 0.0
        for site in (*self.regions.values(), self.witness):
            self.go_on(site)
        for region in self.regions.values():
            region.database.disk_full = region.database_hangs = region.writes_fail = False
            region.flush_s = 0.0
            for group in ("agent", "api"):
                region.feed(group)
            if not region.lost_for_good:
                self.restart(region)
        self.start_agent(self.witness)
        for name in self.regions:
            if not self.regions[name].lost_for_good:
                self.store.put(REGIONS + name, msgspec.json.encode(RegionState()), "outside")
        self.active.clear()
        self.armed.clear()
        self.doomed.clear()

    # ---------------------------------------------------------------------------------------------------- watching

    def note(self, action: str) -> None:
        """An action was done: count it under every fault that is active, and let what waits for it happen."""
        for fault in self.active or ("none",):
            if fault not in MOMENTARY:
                self.coverage[action, fault] += 1
        for fault, event in self.armed.pop(action, ()):
            if fault in MOMENTARY:
                self.coverage[action, fault] += 1
            event()

    def _stored(self, key: str, value: bytes | None, by: str) -> None:
        """The store was written: tell who watches, count what was done, and let an agent die that is doomed."""
        if key.startswith(PLANS):
            self._moved(key.removeprefix(PLANS))
        self.promises.stored(key, value, by)
        if key.startswith((PLANS, PLACEMENTS)):
            self.stepped(by)

    def stepped(self, site: str) -> None:
        """An agent has done one step, in the store or in its database: it may be its last."""
        left = self.doomed.get(site, 0)
        if left:
            self.doomed[site] = left - 1
            if left == 1 and self.regions[site].up:
                self.universe.after(0.0, self._dies_between, self.regions[site])

    def _dies_between(self, region: Region) -> None:
        for name in region.database.holds:
            plan = self.plan(name)
            action = None if plan is None else plan.current
            if plan is not None and action is not None and action.executor == region.name:
                self.coverage[f"{action.type.name} {plan.kind.value}", "agent-dies-between"] += 1
        self.agent_dies(region)

    def _moved(self, name: str) -> None:
        """Count what a plan has come to."""
        plan = self.plan(name)
        if plan is None or plan.abandoned is not None:
            return
        kind, before = plan.kind.value, self.promises.plans.get(name)
        if before is None or before.id != plan.id:
            self.universe.say("store", f"plan {plan.id}: {plan.source} to {plan.target}, {described(plan)}")
            self.note(f"record {kind}")
        elif plan.next > before.next:
            done = plan.actions[before.next].type.name
            self.universe.say("store", f"{done} of {plan.id} is done")
            self.note(f"{done} {kind}")

    def placement(self, name: str) -> Placement:
        """A placement as the store has it."""
        return placement_from(self.store.entry(PLACEMENTS + name)).placement

    def plan(self, name: str) -> Plan | None:
        """Its last plan."""
        return plan_from(self.store.entry(PLANS + name)).plan

    def end(self) -> None:
        """End every process."""
        self.store.written = lambda key, value, by: None
        self.universe.end([*self.regions.values(), self.witness, self.desk, self.clients.site])


def described(plan: Plan) -> str:
    """Say in words what a plan makes of a placement."""
    after = plan.after
    durability = f"{after.durability.value}, standby {after.standby or 'none'}"
    return f"epoch {after.epoch}, {durability}{' degraded' if after.is_degraded else ''}"
