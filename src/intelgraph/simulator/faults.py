"""The ways in which a schedule harms its world: one entry a fault, each with how it begins and how it ends.

A fault is data (`Fault`), so that a schedule can be printed, cut short and run again. `begin` says nothing about when
it ends; `end` may come after everything was healed and must then do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from intelgraph.simulator.network import STORE
from intelgraph.simulator.region import Region
from intelgraph.simulator.world import World

ACTIONS = (
    "record failover", "raise failover", "gather failover", "open failover", "record switchover", "close switchover",
    "catch_up switchover", "raise switchover", "open switchover", "record restand", "raise restand", "open restand",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One harm: what, to whom, when, for how long."""

    at_s: float
    kind: str
    region: str
    other: str = ""
    for_s: float = 0.0
    amount: float = 0.0
    action: str = ""
    """At which action it happens (``AT_ACTION``), or with which it ends early (every fault that lasts)."""

    def __str__(self) -> str:
        """Say what it does; ``region`` may be ``home:P`` or ``standby:P`` until it begins."""
        parts = [self.kind, self.region, self.other, f"at {self.action}" if self.kind in AT_ACTION else ""]
        lasting = f" for {self.for_s:.1f} s" if self.for_s else ""
        if self.action and self.kind not in AT_ACTION:
            lasting += f", at most until {self.action}"
        return " ".join(part for part in parts if part) + lasting


STARVED: Mapping[str, str] = {"agent-starved": "agent", "api-starved": "api"}
"""Which process a fault takes the processor from."""
Step = Callable[[World, Fault], None]


def _crash(world: World, fault: Fault) -> None:
    region = world.regions[fault.region]
    if region.up:
        world.crash(region)


def _restart(world: World, fault: Fault) -> None:
    if not world.regions[fault.region].lost_for_good:
        world.restart(world.regions[fault.region])


def _lose(world: World, fault: Fault) -> None:
    _crash(world, fault)
    world.regions[fault.region].lost_for_good = True


def _pause(world: World, fault: Fault) -> None:
    world.pause(world.regions[fault.region])


def _go_on(world: World, fault: Fault) -> None:
    world.go_on(world.regions[fault.region])


def _agent_dies(world: World, fault: Fault) -> None:
    if world.regions[fault.region].up:
        world.agent_dies(world.regions[fault.region], back_s=fault.amount)


def _agent_will_die(world: World, fault: Fault) -> None:
    """The agent dies after the so-many-th step from now on, in the store or in its database."""
    world.doomed[fault.region] = int(fault.amount)


def _hang(world: World, fault: Fault) -> None:
    world.regions[fault.region].database_hangs = True


def _answer(world: World, fault: Fault) -> None:
    world.regions[fault.region].database_hangs = False


def _at_action(world: World, fault: Fault) -> None:
    """When an action has been done, whoever did it or was to gain by it crashes, or is paused."""
    begin, end = AT_ACTION[fault.kind]

    def happen() -> None:
        found = _resolved(world, fault)
        if world.regions[found.region].up:
            world.universe.after(fault.amount, begin, world, found)
            world.universe.after(fault.amount + fault.for_s, end, world, found)

    world.armed.setdefault(fault.action, []).append((fault.kind, happen))


def _cuts(fault: Fault, world: World) -> set[tuple[str, str]]:
    name, others = fault.region, world.others(fault.region)
    incoming, outgoing = {(one, name) for one in others}, {(name, one) for one in others}
    return {
        "cut": {(name, fault.other), (fault.other, name)},
        "cut-one-way": {(name, fault.other)},
        "partition": incoming | outgoing,
        "partition-in": incoming,
        "partition-out": outgoing,
        "store-unreachable": {(name, STORE), (STORE, name)},
        "store-unheard": {(STORE, name)},
    }[fault.kind]


def _cut(world: World, fault: Fault) -> None:
    world.network.cuts |= _cuts(fault, world)


def _mend(world: World, fault: Fault) -> None:
    world.network.cuts -= _cuts(fault, world)


def _slow(world: World, fault: Fault) -> None:
    world.network.slow_s[fault.region, fault.other] = fault.amount


def _fast(world: World, fault: Fault) -> None:
    world.network.slow_s.pop((fault.region, fault.other), None)


def _store_down(world: World, fault: Fault) -> None:
    world.store.down = True


def _store_up(world: World, fault: Fault) -> None:
    world.store.down = False


def _store_slow(world: World, fault: Fault) -> None:
    world.store.slow_s = fault.amount


def _store_fast(world: World, fault: Fault) -> None:
    world.store.slow_s = 0.0


def _disk_full(world: World, fault: Fault) -> None:
    world.regions[fault.region].database.disk_full = True


def _disk_free(world: World, fault: Fault) -> None:
    world.regions[fault.region].database.disk_full = False


def _writes_fail(world: World, fault: Fault) -> None:
    world.regions[fault.region].writes_fail = True


def _writes_pass(world: World, fault: Fault) -> None:
    world.regions[fault.region].writes_fail = False


def _starve(world: World, fault: Fault) -> None:
    """A process alone gets no processor time; the database and the other processes go on."""
    world.universe.say(fault.region, f"its {STARVED[fault.kind]} gets no processor time")
    world.regions[fault.region].starve(STARVED[fault.kind])


def _feed(world: World, fault: Fault) -> None:
    world.universe.say(fault.region, f"its {STARVED[fault.kind]} goes on")
    world.regions[fault.region].feed(STARVED[fault.kind])


def _slow_disk(world: World, fault: Fault) -> None:
    world.regions[fault.region].flush_s = fault.amount


def _fast_disk(world: World, fault: Fault) -> None:
    world.regions[fault.region].flush_s = 0.0


def _clock(world: World, fault: Fault) -> None:
    world.regions[fault.region].wall_s += fault.amount


def _again(world: World, fault: Fault) -> None:
    world.replication.send_again(*_pair(world, fault), int(fault.amount))


def _slot(world: World, fault: Fault) -> None:
    world.replication.lose_slot(*_pair(world, fault))


def _pair(world: World, fault: Fault) -> tuple[Region, Region]:
    return world.regions[fault.region], world.regions[fault.other]


def _nothing(world: World, fault: Fault) -> None:
    return


AT_ACTION: Mapping[str, tuple[Step, Step]] = {"crash-at": (_crash, _restart), "pause-at": (_pause, _go_on)}
FAULTS: Mapping[str, tuple[Step, Step]] = {
    "crash": (_crash, _restart),
    "lost-for-good": (_lose, _nothing),
    "pause": (_pause, _go_on),
    "agent-dies": (_agent_dies, _nothing),
    "agent-dies-between": (_agent_will_die, _nothing),
    "crash-at": (_at_action, _nothing),
    "pause-at": (_at_action, _nothing),
    "cut": (_cut, _mend),
    "cut-one-way": (_cut, _mend),
    "partition": (_cut, _mend),
    "partition-in": (_cut, _mend),
    "partition-out": (_cut, _mend),
    "store-unreachable": (_cut, _mend),
    "store-unheard": (_cut, _mend),
    "store-down": (_store_down, _store_up),
    "store-slow": (_store_slow, _store_fast),
    "slow": (_slow, _fast),
    "disk-full": (_disk_full, _disk_free),
    "database-hangs": (_hang, _answer),
    "disk-slow": (_slow_disk, _fast_disk),
    "agent-starved": (_starve, _feed),
    "api-starved": (_starve, _feed),
    "writes-fail": (_writes_fail, _writes_pass),
    "clock-step": (_clock, _nothing),
    "sent-again": (_again, _nothing),
    "slot-lost": (_slot, _nothing),
}
WEIGHTS: Mapping[str, float] = {
    "crash": 6, "lost-for-good": 0.4, "pause": 5, "agent-starved": 3, "api-starved": 2, "agent-dies": 2,
    "agent-dies-between": 4, "crash-at": 6, "pause-at": 4, "cut": 2, "cut-one-way": 3, "partition": 2,
    "partition-in": 2, "partition-out": 2, "store-unreachable": 2, "store-unheard": 1, "store-down": 2,
    "store-slow": 3, "slow": 5, "disk-full": 1, "disk-slow": 3, "database-hangs": 1, "clock-step": 0.5,
    "sent-again": 1, "slot-lost": 1,
}  # fmt: skip
TOGETHER_SHARE = 0.45
"""Of faults: they begin while the one before lasts, so that what one leaves is met by the next."""
WRITES_FAIL_SHARE = 0.25
"""Of schedules."""
MEASURED = ("slow", "store-slow", "disk-slow")
"""Of these the amount says how much; of others that last, for how long after its action a fault still lasts."""
LINKS = ("cut", "cut-one-way", "slow", "sent-again", "slot-lost")


def draw(random: Random, regions: tuple[str, ...], roles: tuple[str, ...], at_s: float) -> Fault:
    """Draw a fault; ``roles`` are names such as ``home:p0``, whoever that is when it begins."""
    kind = random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
    region = random.choice((random.choice(regions), random.choice(roles), random.choice(roles)))
    ends = (*regions, STORE, *roles) if kind == "slow" else (*regions, *roles)
    other = random.choice(ends) if kind in LINKS else ""
    amount = {
        "agent-dies": random.uniform(0.2, 10.0),
        "agent-dies-between": float(random.randint(1, 8)),
        "crash-at": random.choice((0.0, 0.0, 0.02, 0.5, 1.5)),
        "pause-at": random.choice((0.0, 0.0, 0.02, 0.5)),
        "slow": random.choice((random.uniform(0.2, 2.0), random.uniform(2.0, 6.0))),
        "store-slow": random.uniform(0.2, 2.5),
        "disk-slow": random.choice((random.uniform(0.02, 0.2), random.uniform(0.2, 1.0))),
        "clock-step": random.choice((-3600.0, 3600.0)),
        "sent-again": float(random.randint(1, 50)),
    }.get(kind, 0.0)
    lasts = kind not in ("agent-dies", "agent-dies-between", "clock-step", "sent-again", "slot-lost", "lost-for-good")
    for_s = _lasts_s(random) if lasts else 0.0
    early = for_s > 4.0 and random.random() < 0.3
    action = random.choice(ACTIONS) if kind in AT_ACTION or early else ""
    if early and kind not in MEASURED and kind not in AT_ACTION:
        amount = random.choice((0.0, 0.01, 0.03, 0.3))
    return Fault(at_s=at_s, kind=kind, region=region, other=other, for_s=for_s, amount=amount, action=action)


def _lasts_s(random: Random) -> float:
    """Draw how long a fault lasts: short, long, or about as long as a lease, where it is decided who was lost."""
    return random.choice(
        (random.uniform(0.5, 4.0), random.uniform(4.5, 7.5), *(random.uniform(4.0, 14.0) for _ in range(3)))
    )


def draw_all(
    random: Random, regions: tuple[str, ...], roles: tuple[str, ...], begin_s: float, end_s: float
) -> list[Fault]:
    """Draw a schedule's faults: some come by themselves, some strike while the one before still lasts."""
    found: list[Fault] = []
    for at_s in sorted(random.uniform(begin_s, end_s) for _ in range(random.randint(3, 6))):
        if found and random.random() < TOGETHER_SHARE:
            at_s = found[-1].at_s + random.uniform(0.0, max(found[-1].for_s, 1.0))
        found.append(draw(random, regions, roles, min(at_s, end_s)))
    return found


def draw_writes(random: Random, regions: tuple[str, ...], roles: tuple[str, ...], at_s: float) -> tuple[Fault, ...]:
    """Draw a time in which no write gets through somewhere, in some schedules; beside the other faults."""
    if random.random() >= WRITES_FAIL_SHARE:
        return ()
    region = random.choice((random.choice(regions), random.choice(roles)))
    return (Fault(at_s=at_s, kind="writes-fail", region=region, for_s=random.uniform(2.0, 16.0)),)


def inflict(world: World, fault: Fault) -> None:
    """Have a fault begin and end in its time."""
    begin, end = FAULTS[fault.kind]
    done: list[Fault] = []

    def begins() -> None:
        found = fault if fault.kind in AT_ACTION else _resolved(world, fault)
        done.append(found)
        if fault.action and fault.kind not in AT_ACTION:
            linger_s = 0.0 if fault.kind in MEASURED else fault.amount
            world.armed.setdefault(fault.action, []).append((fault.kind, lambda: world.universe.after(linger_s, ends)))
        world.universe.say("fault", str(found))
        world.active[fault.kind] += 1
        begin(world, found)

    def ends() -> None:
        if done and world.active[fault.kind] > 0:
            found = done.pop()
            world.active[fault.kind] -= 1
            if not world.active[fault.kind]:
                del world.active[fault.kind]
            end(world, found)

    world.universe.after(fault.at_s, begins)
    world.universe.after(fault.at_s + max(fault.for_s, 1.0), ends)


def _resolved(world: World, fault: Fault) -> Fault:
    region, other = _named(world, fault.region), _named(world, fault.other)
    if other == region:
        other = next(name for name in world.regions if name != region)
    return replace(fault, region=region, other=other)


def _named(world: World, name: str) -> str:
    """Name the region that has a role (``home:P``) now; any other name is a region's already."""
    role, _, placement_id = name.partition(":")
    if not placement_id:
        return name
    placement = world.placement(placement_id)
    return placement.home if role == "home" else placement.standby or placement.regions[-1]
