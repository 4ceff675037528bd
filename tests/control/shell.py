"""A region's controller as its agent composes it, with a clock, a watch over leases and a database of the test's."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec.structs import replace

from intelgraph.changelog.links import slot_name
from intelgraph.control.agent.agent import Agent, Parts
from intelgraph.control.agent.controller.controller import RegionHook
from intelgraph.control.agent.controller.ports import MachinePorts
from intelgraph.control.agent.leases.keeper import LeaseValue
from intelgraph.control.agent.leases.watching import Watching
from intelgraph.control.agent.observer.observing import Known
from intelgraph.control.agent.observer.own_database import HeldHere, Links, Made, Observed, Slot
from intelgraph.control.directory.placements import PlacementRecord
from intelgraph.control.directory.plans import PlanRecord
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.placement import Declared, Durability, Placement, StandbyLoss
from intelgraph.placement.lease import LeasePolicy, Watched
from intelgraph.placement.plan import Kind, Plan
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import View
from intelgraph.settings import Database, Issuer, Peer, RegionConfig, SqliteControl
from tests.fakes.clock import Clock

US, EU = "us-east", "eu-west"
POLICY = LeasePolicy()
LOGIN = Database(host="127.0.0.1", port=1, user="nobody", password="", database="none")


def placement(**other: object) -> Placement:
    """A placement of two regions, remote, at home in us-east."""
    facts: dict[str, object] = {"durability": Durability.REMOTE, "epoch": 1, "home": US, "standby": EU}
    return Placement(id="both", regions=(US, EU), **(facts | other))  # type: ignore[arg-type]


class Confirming:
    """The own database's looks: how far the standby has confirmed, on the shell's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.confirmed = 0.0
        self.looked_s: float | None = None
        links = Links(
            slots={slot_name(US, EU): Slot(active=True, lost=False, kept_bytes=0, flushed="0/1")},
            made={slot_name(US, EU): Made(times=1, s_ago=9.0)},
            subscriptions={},
        )
        held = HeldHere(epoch=1, home=US, hold=None, gap=None, whole=True, closed=False, tail=None)
        self.observed: Observed | None = Observed(
            region=US, life=1, schema="5", flush="0/1", settled={f"{US}/1": 41}, tokens={EU: time.monotonic_ns()},
            placements={"both": held}, links=links, troubles=0,
        )  # fmt: skip

    def confirmed_s(self, destination: str) -> float:
        return self.confirmed

    def unconfirmed_s(self, destination: str) -> float:
        return max(0.0, self._clock() - self.confirmed)


class Shell:
    """A region's hook as its agent composes it, with a clock, a watch and a database of the test's."""

    def __init__(self, directory: Path, *, loss: StandbyLoss = StandbyLoss.DEGRADE) -> None:
        self.clock = Clock(0.0)
        store = SqliteControlStore(directory / "control.db", poll_s=0.01)
        self.config = config(directory)
        self.watching = Watching(vantage=US, store=store, policy=POLICY, clock=self.clock)
        self.ports = MachinePorts(self.config)
        self.hook = RegionHook(US, self.ports, Policy(lease=POLICY))
        self.agent = Agent(
            Parts(
                here=US, region=self.config, store=store, policy=POLICY, clock=self.clock, watching=self.watching,
                keeper=None, look_s=0.1,
            ),
            self.hook,
        )  # fmt: skip
        self.loops = self.hook.loops(self.agent)
        self.database = Confirming(self.clock)
        self.hook.observing._database = self.database  # type: ignore[assignment]
        wanted = Declared(home=US, durability=Durability.REMOTE, on_standby_loss=loss)
        self.placement = placement(declared=wanted)
        self._version = 0

    def tick(self, *, at_s: float, confirmed_s: float | None = None, plan: bool = False) -> None:
        """Both regions renew, and the agent looks."""
        self.clock.now_s = at_s
        self.database.confirmed = at_s if confirmed_s is None else confirmed_s
        self._version += 1
        self.watching.leases = {
            name: Watched(counter=self._version, version=self._version, still_s=0.1, looked_s=at_s) for name in (US, EU)
        }
        self.watching.holders = {name: LeaseValue(counter=1, term="t", life=1, schema="5") for name in (US, EU)}
        recorded: dict[str, PlanRecord] = {}
        if plan:
            going = Plan(
                id="both/2", kind=Kind.SWITCHOVER, before=self.placement,
                after=placement(home=EU, standby=US, epoch=2, declared=self.placement.wanted),
            )  # fmt: skip
            recorded["both"] = PlanRecord(subject="both", plan=going, version=1)
        record = PlacementRecord(placement=self.placement, digest_key="", version=1)
        self.hook.observing.tick(Known(placements={"both": record}, plans=recorded))

    def link(self, *, active: bool) -> None:
        """What the own database says of the stream to the standby from now on."""
        observed = self.database.observed
        assert observed is not None
        slots = {name: replace(slot, active=active) for name, slot in observed.links.slots.items()}
        self.database.observed = replace(observed, links=replace(observed.links, slots=slots))

    def view(self) -> View:
        """The view of the placement."""
        return self.hook.observing.view("both")

    def decide(self) -> Plan | None:
        """What the hook decides."""
        return self.hook._decide(self.hook.observing.view("both"))


def config(directory: Path) -> RegionConfig:
    return RegionConfig(
        region=US, zone="us", directory=str(directory), database=LOGIN, admin_database=LOGIN,
        peers={EU: Peer(database=LOGIN, api="http://127.0.0.1:1")},
        control=SqliteControl(path=str(directory / "control.db")),
        issuer=Issuer(issuer="i", audience="a", jwks="none"), api_host="127.0.0.1", api_port=1,
    )  # fmt: skip
