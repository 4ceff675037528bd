"""What a seed means: regions, placements, clocks, faults, orders and clients; and the run of it, to its verdict.

A run is at least half a minute of virtual time: everything goes well at first, then faults and orders come, then all is
healed; in the end every placement must take a write, and every region must show the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

from intelgraph.model.placement import Declared, Durability, Placement, StandbyLoss
from intelgraph.placement.lease import LeasePolicy
from intelgraph.placement.plan import is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.simulator.clients import Habit
from intelgraph.simulator.faults import Fault, draw_all, draw_writes, inflict
from intelgraph.simulator.operators import VERBS, Order, give
from intelgraph.simulator.setting import Clock, Setting
from intelgraph.simulator.violation import CONVERGENCE, LIVENESS, SALVAGE
from intelgraph.simulator.world import World

REGIONS = ("us-east", "eu-west", "us-west", "eu-north")
WRITES = 0x57A1
QUIET_S, FAULTS_S = 3.0, 21.0
READER = Habit(patient=False, pause_s=0.4, reads=1.0)
"""Reads all the time, with nothing to wait for."""
LOOK_S, SUSPECT_LOOK_S, LOOK_UNDER_WAY_S = 1.0, 0.4, 0.1
"""An agent looks as seldom as its policy lets it work: what is simulated costs a look less often, not less."""
RATE_OFF_MAX = 0.024
"""Two clocks that are both off by this differ by less than the lease's drift allows."""


@dataclass(frozen=True, kw_only=True)
class Phases:
    """When what happens: everything is healed, clients go, every placement is written to once more, the verdict."""

    heal_s: float = 23.0
    work_s: float = 29.0
    probe_s: float = 30.0
    end_s: tuple[float, ...] = (32.0, 40.0, 50.0, 65.0, 90.0)
    """Until the last of them what takes its time is waited for."""


SHORT = Phases()
LONG = Phases(heal_s=46.0, work_s=54.0, probe_s=58.0, end_s=(62.0, 70.0, 80.0, 95.0, 120.0))
"""For stories."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One seed, spelled out."""

    seed: int
    setting: Setting
    faults: tuple[Fault, ...]
    orders: tuple[Order, ...]
    clients: tuple[Habit, ...]
    phases: Phases = SHORT


@dataclass(kw_only=True)
class Outcome:
    """What came of a schedule."""

    seed: int
    promise: str | None = None
    what: str = ""
    at_s: float = 0.0
    operations: int = 0
    faults: int = 0
    events: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    coverage: Counter[tuple[str, str]] = field(default_factory=Counter)
    epochs: int = 0


def schedule(seed: int) -> Schedule:
    """Spell a seed out."""
    random = Random(seed)  # noqa: S311
    regions = REGIONS[: random.choices((2, 3, 4), weights=(4, 5, 1))[0]]
    placements = tuple(_placement(random, f"p{number}", regions) for number in range(random.choice((1, 1, 2))))
    lease = LeasePolicy(renew_s=random.choice((1.0, 1.5)))
    policy = Policy(
        lease=lease,
        look_s=LOOK_S,
        look_under_way_s=LOOK_UNDER_WAY_S,
        moves_apart_s=random.choice((1.0, 5.0, 15.0)),
        steady_s=random.choice((3.0, 5.0)),
    )
    clocks = {
        name: Clock(rate=1 + random.uniform(-RATE_OFF_MAX, RATE_OFF_MAX), offset_s=random.uniform(0, 1e6))
        for name in regions
    }
    roles = tuple(f"{role}:{one.id}" for one in placements for role in ("home", "home", "standby"))
    faults = draw_all(random, regions, roles, QUIET_S, FAULTS_S)
    orders = tuple(
        Order(
            at_s=random.uniform(QUIET_S, FAULTS_S),
            verb=random.choice(VERBS),
            placement=random.choice(placements).id,
            region=random.choice(regions),
            for_s=random.uniform(6.0, 18.0),
        )
        for _ in range(random.choice((0, 1, 2, 3)))
    )
    workers = tuple(
        Habit(patient=random.random() < 0.7, pause_s=random.uniform(0.5, 0.8), reads=random.uniform(0.1, 0.3))
        for _ in range(2)
    )
    apart = Random(seed ^ WRITES)  # noqa: S311 - so that what a seed meant before it still means
    failing = draw_writes(apart, regions, roles, apart.uniform(QUIET_S, FAULTS_S))
    return Schedule(
        seed=seed,
        setting=Setting(
            regions=regions,
            placements=placements,
            policy=policy,
            clocks=clocks,
            look_s=LOOK_S,
            suspect_look_s=SUSPECT_LOOK_S,
        ),
        faults=(*faults, *failing),
        orders=orders,
        clients=(*workers, READER),
    )


def _placement(random: Random, name: str, regions: tuple[str, ...]) -> Placement:
    count = random.choices((len(regions), min(2, len(regions)), 1), weights=(6, 3, 1))[0]
    allowed = tuple(random.sample(regions, count))
    standby = allowed[1] if count > 1 else None
    durability = Durability.REMOTE if standby and random.random() < 0.55 else Durability.HOME
    loss = StandbyLoss.STRICT if random.random() < 0.25 else StandbyLoss.DEGRADE
    declared = Declared(
        home=allowed[0], durability=durability, on_standby_loss=loss, rpo_s_max=random.choice((2.0, 2.0, 5.0, 20.0))
    )
    return Placement(
        id=name, home=allowed[0], standby=standby, regions=allowed, epoch=1, durability=durability, declared=declared
    )


def run(plan: Schedule, *, told: list[str] | None = None) -> Outcome:
    """Run a schedule to its verdict; ``told`` receives the transcript."""
    world = World(plan.setting, Random(plan.seed ^ 0x9E3779B9), told)  # noqa: S311
    outcome = Outcome(seed=plan.seed, faults=len(plan.faults))
    try:
        _run(world, plan)
    finally:
        outcome.at_s = world.universe.now
        world.end()
    if world.promises.broken is not None:
        outcome.promise, outcome.what = world.promises.broken
        world.universe.say("promises", f"{outcome.promise}: {outcome.what}")
    outcome.operations = world.clients.operations
    outcome.events = world.universe.events
    outcome.answers = world.clients.answers
    outcome.coverage = world.coverage
    outcome.epochs = sum(world.promises.epochs.values())
    return outcome


def _run(world: World, plan: Schedule) -> None:
    world.start()
    allowed = {one.id: one.regions for one in plan.setting.placements}
    for number, habit in enumerate(plan.clients):
        world.clients.start(f"c{number}", habit, allowed, plan.phases.work_s)
    for fault in plan.faults:
        inflict(world, fault)
    for order in plan.orders:
        give(world, order)
    world.universe.after(plan.phases.heal_s, world.heal)
    probed: set[str] = set()
    world.universe.after(plan.phases.probe_s, _probe_all, world, plan.setting.placements, probed)
    for end_s in plan.phases.end_s:
        world.universe.run_until(end_s)
        if world.promises.broken is not None:
            return
        _judge(world, probed)
        broken = world.promises.broken
        if broken is None or broken.promise not in (CONVERGENCE, LIVENESS, SALVAGE) or end_s == plan.phases.end_s[-1]:
            return
        world.promises.broken, world.universe.stopped = None, False


def _probe_all(world: World, placements: tuple[Placement, ...], probed: set[str]) -> None:
    for placement in placements:
        world.clients.loop.run(_probe(world, placement, probed))


async def _probe(world: World, placement: Placement, probed: set[str]) -> None:
    """Write to a placement until it takes it."""
    number = 0
    while placement.id not in probed:
        number += 1
        operations = ({"op": "upsert_entity", "entity": {"id": "probe", "type": "thing", "name": str(number)}},)
        told = await world.clients.write(placement.id, placement.regions, f"probe-{number}", operations, True)
        if told.status == "ok":
            probed.add(placement.id)


def _judge(world: World, probed: set[str]) -> None:
    promises = world.promises
    for name, allowed in world.allowed.items():
        placement, plan = world.placement(name), world.plan(name)
        home = world.regions[placement.home]
        lost = {one for one in allowed if world.regions[one].lost_for_good}
        if name not in probed and not _may_stand(world, placement, lost):
            where = f"home {placement.home}, epoch {placement.epoch}, plan {plan}"
            return promises.violated(LIVENESS, f"{name} takes no write; {where}")
        if plan is not None and plan.current is not None and not lost and is_under_way(placement, plan):
            return promises.violated(LIVENESS, f"plan {plan.id} still stands at {plan.current.id}")
        if home.up:
            promises.converged(name, home, [world.regions[one] for one in sorted(allowed - lost)])
            if name in probed and not lost:
                promises.salvage_ended(name, home)
    return None


def _may_stand(world: World, placement: Placement, lost: set[str]) -> bool:
    """Whether it is right that nobody writes: who holds everything is gone for good, or a strict standby is."""
    plan = world.plan(placement.id)
    needed = {placement.home}
    if placement.wanted.on_standby_loss is StandbyLoss.STRICT:
        needed |= {placement.standby} if placement.standby else set()
    if plan is not None and plan.current is not None:
        needed |= {plan.source, plan.target}
    return bool(needed & lost)


def shortest(plan: Schedule) -> Schedule:
    """Cut a schedule that breaks a promise down to fewer faults and orders that still break the same."""
    wanted = run(plan).promise
    smaller = plan
    for order in plan.orders:
        less = replace(smaller, orders=tuple(one for one in smaller.orders if one is not order))
        smaller = less if run(less).promise == wanted else smaller
    for fault in plan.faults:
        less = replace(smaller, faults=tuple(one for one in smaller.faults if one is not fault))
        smaller = less if run(less).promise == wanted else smaller
    return smaller
