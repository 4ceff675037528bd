"""One schedule's world: everything put together, and the ways in which it can be harmed and healed.

The parts are made by `Parts`, so that a test can put a wrong one in the place of a right one; the product's own code
has no switch for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from intelgraph.control.simulator.acting import Acting
from intelgraph.control.simulator.agent import Agent
from intelgraph.control.simulator.clients import Clients
from intelgraph.control.simulator.door import Doors
from intelgraph.control.simulator.engine import Engine, Site
from intelgraph.control.simulator.network import STORE, Network, Store
from intelgraph.control.simulator.promises import Promises
from intelgraph.control.simulator.region import NO_GRANT, Region
from intelgraph.control.simulator.replication import Replication
from intelgraph.model.placement import Placement
from intelgraph.placement.plan import Plan
from intelgraph.placement.policy import Policy

WITNESS = "witness"
MOMENTARY = ("crash-at", "agent-dies-between")
"""What is counted when it happens, not while it is armed."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the world is made of."""

    region: type[Region] = Region
    agent: type[Agent] = Agent
    acting: type[Acting] = Acting
    doors: type[Doors] = Doors
    replication: type[Replication] = Replication


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A site's monotonic clock: how fast it runs, and where it began."""

    rate: float
    offset_s: float


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a schedule begins with."""

    regions: tuple[str, ...]
    placements: tuple[Placement, ...]
    policy: Policy
    clocks: dict[str, Clock] = field(default_factory=dict)


class World:
    """Regions, witness, store, links, clients."""

    def __init__(self, setting: Setting, random: Random, parts: Parts, told: list[str] | None) -> None:
        self.setting = setting
        self.parts = parts
        self.engine = Engine(random, told=told)
        self.network = Network()
        self.store = Store(self.engine, self.network)
        self.allowed = {one.id: frozenset(one.regions) for one in setting.placements}
        self.regions = {name: self._region(name) for name in setting.regions}
        self.promises = Promises(self.engine, self.regions, self.allowed)
        self.promises.lease_s = setting.policy.lease.lease_s
        self.store.written = self.promises.stored
        self.replication = parts.replication(self.engine, self.network, self.regions, self.promises.arrived)
        self.doors = parts.doors(self.engine, self.network, self.replication, self.promises)
        self.acting = parts.acting(self.engine, self.store, self.replication, self.promises)
        self.acting.die = self.agent_dies
        self.acting.note = self.note
        self.acting.died = self.died_between
        self.clients = Clients(self.engine, self.network, self.doors, self.regions, self.promises)
        self.witness = Site(WITNESS)
        self.desk = Site("operator")
        self.active: Counter[str] = Counter()
        self.coverage: Counter[tuple[str, str]] = Counter()
        self.armed: dict[str, list[Callable[[], None]]] = {}
        self._terms = 0

    def _region(self, name: str) -> Region:
        clock = self.setting.clocks.get(name, Clock(rate=1.0, offset_s=0.0))
        placements = [one.id for one in self.setting.placements if name in one.regions]
        return self.parts.region(name, placements, rate=clock.rate, offset_s=clock.offset_s)

    def start(self) -> None:
        """Open every placement's first epoch, then let everything run."""
        for region in self.regions.values():
            self.replication.start(region)
            self.start_agent(region)
        self.start_agent(self.witness)
        for placement in self.setting.placements:
            home = self.regions[placement.home]
            row = home.open(placement, 0.0, force=True)
            assert not isinstance(row, str)
            self.promises.opens[placement.id].append(row)
            for name in placement.regions:
                self.regions[name].holds[placement.id].known.arrive(row)
            self.store.put(f"placements/{placement.id}", placement)

    # ------------------------------------------------------------------------------------------- harm and healing

    def start_agent(self, site: Site, delay_s: float = 0.0) -> None:
        """Start the next agent process of a site, if it is up and has none."""
        if not site.up or any(one.group == "agent" and not one.dead for one in site.processes):
            return
        self._terms += 1
        agent = self.parts.agent(self.acting, site, self.setting.policy, self._terms)
        agent.start()

    def agent_dies(self, region: Region, back_s: float = 1.0) -> None:
        """An agent is killed; it is started again."""
        self.engine.say(region.name, "its agent dies")
        region.doomed = 0
        self.engine.kill(region, "agent")
        self.engine.after(back_s, lambda: self.start_agent(region))

    def crash(self, region: Region) -> None:
        """Every process of a region is gone; its database keeps what was committed."""
        self.engine.say(region.name, "crashes")
        region.up = region.paused = False
        region.stalled.clear()
        region.doomed = 0
        self.engine.kill(region)
        region.grant = NO_GRANT
        region.directory = {}
        region.waiting = {}
        for held in region.holds.values():
            held.in_flight.clear()

    def restart(self, region: Region) -> None:
        """A region that crashed is started."""
        if region.up:
            return
        self.engine.say(region.name, "is started")
        region.up = True
        self.replication.start(region)
        self.start_agent(region)

    def pause(self, site: Site) -> None:
        """Nothing of a site runs."""
        self.engine.say(site.name, "is paused")
        site.paused = True

    def go_on(self, site: Site) -> None:
        """A paused site goes on where it was."""
        if site.paused:
            self.engine.say(site.name, "goes on")
            self.engine.resume(site)

    def others(self, name: str) -> tuple[str, ...]:
        """Every end of a link but one."""
        return tuple(one for one in (*self.regions, WITNESS, STORE) if one != name)

    def heal(self) -> None:
        """End every fault."""
        self.engine.say("all", "everything is healed")
        self.network.cuts.clear()
        self.network.slow_s.clear()
        self.store.down = False
        self.store.slow_s = 0.0
        for site in (*self.regions.values(), self.witness):
            self.go_on(site)
        for region in self.regions.values():
            region.disk_full = region.writes_fail = False
            region.doomed = 0
            if not region.lost_for_good:
                self.restart(region)
        self.start_agent(self.witness)
        for name in self.regions:
            if not self.regions[name].lost_for_good:
                self.store.put(f"regions/{name}", False)
        self.active.clear()
        self.armed.clear()

    # ---------------------------------------------------------------------------------------------------- watching

    def note(self, action: str) -> None:
        """An action was done: count it under every fault that is active, and let what waits for it happen."""
        for fault in self.active or ("none",):
            if fault not in MOMENTARY:
                self.coverage[action, fault] += 1
        for event in self.armed.pop(action, ()):
            self.coverage[action, "crash-at"] += 1
            event()

    def died_between(self, region: Region) -> None:
        """An agent dies between two steps: count it where its plan stands."""
        for name in region.holds:
            plan = self.plan(name)
            current = None if plan is None else plan.current
            if plan is not None and current is not None and current.executor == region.name:
                self.coverage[f"{current.type.name} {plan.kind.value}", "agent-dies-between"] += 1

    def placement(self, name: str) -> Placement:
        """A placement as the store has it."""
        found: Placement = self.store.get(f"placements/{name}").value
        return found

    def plan(self, name: str) -> Plan | None:
        """Its last plan."""
        found: Plan | None = self.store.get(f"plans/{name}").value
        return found
