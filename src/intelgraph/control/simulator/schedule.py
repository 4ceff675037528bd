"""What a seed means: regions, placements, clocks, faults, orders and clients; and the run of it, to its verdict.

A run is at least a minute of virtual time: everything goes well at first, then faults and orders come, then all is
healed; in the end every placement must take a write, and every region must show the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

from intelgraph.control.simulator.clients import Habit
from intelgraph.control.simulator.engine import Steps
from intelgraph.control.simulator.faults import Fault, draw, draw_writes, inflict
from intelgraph.control.simulator.operators import VERBS, Order, give
from intelgraph.control.simulator.promises import CONVERGENCE, LIVENESS, SALVAGE, Violation
from intelgraph.control.simulator.world import Clock, Parts, Setting, World
from intelgraph.model.placement import Declared, Durability, Placement, StandbyLoss
from intelgraph.placement.lease import LeasePolicy
from intelgraph.placement.policy import Policy

REGIONS = ("us-east", "eu-west", "us-west", "eu-north")
WRITES = 0x57A1
QUIET_S, FAULTS_S, WORK_S, PROBE_S = 3.0, 43.0, 54.0, 58.0
END_S = (62.0, 70.0, 80.0, 95.0, 120.0)
READER = Habit(patient=False, pause_s=0.5, reads=1.0)
"""Reads all the time, with nothing to wait for."""
RATE_OFF_MAX = 0.024
"""Two clocks that are both off by this differ by less than the lease's drift allows."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One seed, spelled out."""

    seed: int
    setting: Setting
    faults: tuple[Fault, ...]
    orders: tuple[Order, ...]
    clients: tuple[Habit, ...]


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
    policy = Policy(lease=lease, moves_apart_s=random.choice((1.0, 5.0, 15.0)), steady_s=random.choice((2.0, 5.0)))
    clocks = {
        name: Clock(rate=1 + random.uniform(-RATE_OFF_MAX, RATE_OFF_MAX), offset_s=random.uniform(0, 1e6))
        for name in regions
    }
    roles = tuple(f"{role}:{one.id}" for one in placements for role in ("home", "home", "standby"))
    times = sorted(random.uniform(QUIET_S, FAULTS_S) for _ in range(random.randint(3, 8)))
    orders = tuple(
        Order(
            at_s=random.uniform(QUIET_S, FAULTS_S),
            verb=random.choice(VERBS),
            placement=random.choice(placements).id,
            region=random.choice(regions),
        )
        for _ in range(random.choice((0, 1, 1, 2)))
    )
    workers = tuple(
        Habit(patient=random.random() < 0.7, pause_s=random.uniform(0.8, 1.1), reads=random.uniform(0.2, 0.5))
        for _ in range(2)
    )
    apart = Random(seed ^ WRITES)  # noqa: S311 - so that what a seed meant before it still means
    failing = draw_writes(apart, regions, roles, apart.uniform(QUIET_S, FAULTS_S))
    return Schedule(
        seed=seed,
        setting=Setting(regions=regions, placements=placements, policy=policy, clocks=clocks),
        faults=(*(draw(random, regions, roles, at_s) for at_s in times), *failing),
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
        home=allowed[0], durability=durability, on_standby_loss=loss, rpo_s_max=random.choice((5.0, 20.0, 60.0))
    )
    return Placement(
        id=name, home=allowed[0], standby=standby, regions=allowed, epoch=1, durability=durability, declared=declared
    )


def run(plan: Schedule, *, parts: Parts | None = None, told: list[str] | None = None) -> Outcome:
    """Run a schedule to its verdict; ``told`` receives the transcript."""
    world = World(plan.setting, Random(plan.seed ^ 0x9E3779B9), parts or Parts(), told)  # noqa: S311
    outcome = Outcome(seed=plan.seed, faults=len(plan.faults))
    try:
        _run(world, plan)
    except Violation as violation:
        world.engine.say("promises", str(violation))
        outcome.promise, outcome.what = violation.promise, violation.what
    outcome.at_s = world.engine.now
    outcome.operations = world.clients.operations
    outcome.events = world.engine.events
    outcome.answers = world.clients.answers
    outcome.coverage = world.coverage
    outcome.epochs = sum(world.promises.epochs.values())
    return outcome


def _run(world: World, plan: Schedule) -> None:
    world.start()
    allowed = {one.id: one.regions for one in plan.setting.placements}
    for number, habit in enumerate(plan.clients):
        world.clients.start(f"c{number}", habit, allowed, WORK_S)
    for fault in plan.faults:
        inflict(world, fault)
    for order in plan.orders:
        give(world, order)
    world.engine.after(FAULTS_S + 3.0, world.heal)
    probed: set[str] = set()
    for placement in plan.setting.placements:
        world.engine.spawn(_probe(world, placement, probed), world.clients.site, "probe", delay_s=PROBE_S)
    for end_s in END_S:
        world.engine.run_until(end_s)
        last = end_s == END_S[-1]
        try:
            _judge(world, probed)
            return
        except Violation as violation:
            if last or violation.promise not in (CONVERGENCE, LIVENESS, SALVAGE):
                raise


def _probe(world: World, placement: Placement, probed: set[str]) -> Steps:
    """Write to a placement until it takes it."""
    number = 0
    while placement.id not in probed:
        number += 1
        operations = ({"op": "upsert_entity", "entity": {"id": "probe", "type": "thing", "name": str(number)}},)
        told = yield from world.clients.write(placement.id, placement.regions, f"probe-{number}", operations, True)
        if told.status == "ok":
            probed.add(placement.id)


def _judge(world: World, probed: set[str]) -> None:
    for name, allowed in world.allowed.items():
        placement, plan = world.placement(name), world.plan(name)
        home = world.regions[placement.home]
        lost = {one for one in allowed if world.regions[one].lost_for_good}
        if name not in probed and not _may_stand(world, placement, lost):
            raise Violation(
                LIVENESS, f"{name} takes no write; home {placement.home}, epoch {placement.epoch}, plan {plan}"
            )
        if plan is not None and plan.current is not None and not lost:
            raise Violation(LIVENESS, f"plan {plan.id} still stands at {plan.current.id}")
        if home.up:
            world.promises.converged(name, home, (world.regions[one] for one in allowed - lost))
            if name in probed and not lost:
                world.promises.salvage_ended(name, home)


def _may_stand(world: World, placement: Placement, lost: set[str]) -> bool:
    """Whether it is right that nobody writes: who holds everything is gone for good, or a strict standby is."""
    plan = world.plan(placement.id)
    needed = {placement.home}
    if placement.wanted.on_standby_loss is StandbyLoss.STRICT:
        needed |= {placement.standby} if placement.standby else set()
    if plan is not None and plan.current is not None:
        needed |= {plan.source, plan.target}
    return bool(needed & lost)


def shortest(plan: Schedule, *, parts: Parts | None = None) -> Schedule:
    """Cut a schedule that breaks a promise down to fewer faults and orders that still break the same."""
    wanted = run(plan, parts=parts).promise
    smaller = plan
    for order in plan.orders:
        less = replace(smaller, orders=tuple(one for one in smaller.orders if one is not order))
        smaller = less if run(less, parts=parts).promise == wanted else smaller
    for fault in plan.faults:
        less = replace(smaller, faults=tuple(one for one in smaller.faults if one is not fault))
        smaller = less if run(less, parts=parts).promise == wanted else smaller
    return smaller
