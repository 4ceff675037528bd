"""A correct fleet in memory: histories that must pass. Virtual time, a seed, no concurrency of ours.

Every operation has three instants: it is invoked, it takes effect, it is answered. They are applied in the order in
which they take effect, to objects that remember every version, so that a replica's read is what was there ``lag``
earlier. Unknown outcomes take effect or not, also after their client has given up. At a takeover everything beyond the
cut is taken back, as it would be by a new home that had not received it; the keys of acknowledged writes among it are
listed. Durability ``remote`` answers only when the other region has it.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from intelgraph.drill.checker.verdict import Fate
from intelgraph.drill.history import END, FAULT, Header, History, Kind, Mark, Operation, Outcome, Step

HOME, AWAY = "us-east", "eu-west"
TENANT = PLACEMENT = "t"
_READS = {Kind.GET: "r", Kind.LISTS: "l", Kind.ACCOUNTS: "a"}
_WRITES = (Kind.INSERT, Kind.PUT, Kind.APPEND, Kind.TRANSFER)
_BALANCE = 100


@dataclass(frozen=True, kw_only=True)
class World:
    """What is to be simulated. Times in seconds, shares from 0 to 1; ``fault_s``: when the home is lost, if at all."""

    seed: int = 0
    operations: int = 200
    rate_per_s: float = 100.0
    slowest_s: float = 0.05
    lag_s: float = 0.03
    unknown_share: float = 0.05
    refused_share: float = 0.05
    objects: int = 3
    durability: str = "remote"
    fault_s: float | None = None
    takeover_s: float = 6.0


@dataclass(kw_only=True)
class _Versions:
    """Every version of an object, by the instant from which it was there, and the bookmark of its row."""

    since_s: list[float] = field(default_factory=lambda: [float("-inf")])
    states: list[tuple[Any, int, str | None]] = field(default_factory=lambda: [(None, 0, None)])

    def at(self, instant_s: float) -> tuple[Any, int, str | None]:
        """Value, revision and bookmark as of an instant."""
        return self.states[bisect_right(self.since_s, instant_s) - 1]

    def write(self, instant_s: float, value: Any, bookmark: str) -> int:
        """A new version; returns its revision."""
        revision = self.states[-1][1] + 1
        self.since_s.append(instant_s)
        self.states.append((value, revision, bookmark))
        return revision

    def cut(self, instant_s: float) -> None:
        """Take back what came after an instant."""
        keep = bisect_right(self.since_s, instant_s)
        del self.since_s[keep:], self.states[keep:]


@dataclass(kw_only=True)
class _Run:
    """A simulation under way."""

    world: World
    chance: random.Random
    objects: dict[str, _Versions] = field(default_factory=lambda: defaultdict(_Versions))
    written: dict[str, float] = field(default_factory=dict)
    log: list[tuple[float, Operation]] = field(default_factory=list)
    last: dict[tuple[str, Kind], tuple[tuple[str, ...], str, int]] = field(default_factory=dict)
    fates: dict[str, Fate] = field(default_factory=dict)
    epoch: int = 1
    position: int = 0
    number: int = 0

    @property
    def home(self) -> str:
        return HOME if self.epoch == 1 else AWAY

    @property
    def cut_s(self) -> float:
        fault_s = self.world.fault_s
        return float("inf") if fault_s is None else fault_s - self.world.lag_s


def simulate(world: World) -> tuple[History, dict[str, Fate]]:
    """A history that keeps every promise, and what became of the keys that a takeover left behind."""
    run = _Run(world=world, chance=random.Random(world.seed))
    operations = [_deposit(run)]
    invoked = []
    at_s = 0.1
    for _ in range(world.operations):
        at_s += run.chance.expovariate(world.rate_per_s)
        effect_s = at_s + run.chance.uniform(0, world.slowest_s)
        if world.fault_s is not None and world.fault_s <= effect_s < world.fault_s + world.takeover_s:
            effect_s = world.fault_s + world.takeover_s + run.chance.uniform(0, world.slowest_s)
        invoked.append((effect_s, at_s))
    for effect_s, at_s in sorted(invoked):
        if run.epoch == 1 and world.fault_s is not None and effect_s >= world.fault_s:
            _take_over(run)
        operations.append(_operate(run, at_s, effect_s))
    operations.sort(key=lambda each: each.completed_s)
    end_s = max(each.completed_s for each in operations) + 2 * world.lag_s + 1
    first = len(operations) + 1
    finals = [_final(run, first + place, region, end_s) for place, region in enumerate((HOME, AWAY))]
    finals += [_final_lists(run, first + 2 + place, region, end_s) for place, region in enumerate((HOME, AWAY))]
    header = Header(began="2026-01-01T00:00:00Z", regions={PLACEMENT: (HOME, AWAY)}, seed=world.seed)
    marks = [Mark(at_s=end_s, what=END)]
    if world.fault_s is not None:
        marks.insert(0, Mark(at_s=world.fault_s, what=FAULT, detail=f"{HOME} lost its power"))
    return History(header=header, operations=(*operations, *finals), marks=tuple(marks)), run.fates


def _take_over(run: _Run) -> None:
    for versions in run.objects.values():
        versions.cut(run.cut_s)
    for effect_s, operation in run.log:
        if effect_s > run.cut_s and operation.key is not None:
            run.fates[operation.key] = Fate.HOME_ONLY
    run.written = {name: at_s for name, at_s in run.written.items() if at_s <= run.cut_s}
    run.last.clear()
    run.epoch += 1


def _deposit(run: _Run) -> Operation:
    steps = [(f"a{place}", _BALANCE) for place in range(run.world.objects + 1)]
    return _applied(run, Kind.DEPOSIT, HOME, 0.0, 0.01, [(name, value, value, None) for name, value in steps])


def _operate(run: _Run, at_s: float, effect_s: float) -> Operation:
    run.number += 1
    door = run.chance.choice((HOME, AWAY)) if run.epoch == 1 else AWAY
    if run.chance.random() < 0.5:
        return _read(run, run.chance.choice(list(_READS)), door, at_s, effect_s)
    kind = run.chance.choice(_WRITES)
    plan = _plan(run, kind)
    dice = run.chance.random()
    if kind is not Kind.PUT and dice < run.world.refused_share:
        return _unapplied(run, kind, door, at_s, effect_s, plan, Outcome.FAIL)
    if dice > 1 - run.world.unknown_share:
        if run.chance.random() < 0.5:
            return _unapplied(run, kind, door, at_s, effect_s, plan, Outcome.UNKNOWN)
        return _applied(run, kind, door, at_s, effect_s, plan, given_up=True)
    return _applied(run, kind, door, at_s, effect_s, plan)


def _plan(run: _Run, kind: Kind) -> list[tuple[str, int | None, Any, tuple[int, ...] | None]]:
    """For each object: its name, the step's value, its state afterwards, and the list if it is one."""

    def now(name: str) -> Any:
        return run.objects[name].states[-1][0]

    if kind is Kind.INSERT:
        return [(f"s{run.number}", None, True, None)]
    if kind is Kind.PUT:
        return [(f"r{run.chance.randrange(run.world.objects)}", run.number, run.number, None)]
    if kind is Kind.APPEND:
        names = run.chance.sample([f"l{place}" for place in range(run.world.objects)], run.chance.choice((1, 2)))
        window = run.number // 200  # Lists end, so that a long history has many.
        lists = {f"{name}-{window}": (*(now(f"{name}-{window}") or ()), run.number) for name in names}
        return [(name, run.number, elements, elements) for name, elements in lists.items()]
    giver, taker = run.chance.sample([f"a{place}" for place in range(run.world.objects + 1)], 2)
    amount = run.chance.randint(1, 5)
    return [
        (giver, now(giver) - amount, now(giver) - amount, None),
        (taker, now(taker) + amount, now(taker) + amount, None),
    ]


def _applied(
    run: _Run, kind: Kind, door: str, at_s: float, effect_s: float, plan: list[Any], given_up: bool = False
) -> Operation:
    run.position += 1
    bookmark = f"{run.home}/1/{run.epoch}/{run.position}"
    steps = []
    for name, value, state, elements in plan:
        revision = run.objects[name].write(effect_s, state, bookmark)
        steps.append(Step(object=name, value=value, elements=elements, revision=revision))
    if kind is Kind.INSERT:
        run.written[plan[0][0]] = effect_s
    answer_s = effect_s + run.chance.uniform(0, run.world.slowest_s)
    if run.world.durability == "remote":
        answer_s += run.world.lag_s
    if given_up:
        ended_s = run.chance.uniform(at_s, answer_s)
        operation = _operation(run, kind, door, at_s, ended_s, Outcome.UNKNOWN, steps=tuple(steps))
    elif run.epoch == 1 and run.world.fault_s is not None and answer_s >= run.world.fault_s:
        operation = _operation(run, kind, door, at_s, run.world.fault_s + 5, Outcome.UNKNOWN, steps=tuple(steps))
    else:
        about = {"bookmark": bookmark, "durability": run.world.durability, "region": run.home}
        operation = _operation(run, kind, door, at_s, answer_s, Outcome.OK, steps=tuple(steps), **about)
        seen_by = {Kind.PUT: Kind.GET, Kind.APPEND: Kind.LISTS}.get(kind)
        if seen_by is not None:
            run.last[operation.client, seen_by] = (
                tuple(step.object for step in steps),
                bookmark,
                steps[0].revision or 0,
            )
    run.log.append((effect_s, operation))
    return operation


def _unapplied(
    run: _Run, kind: Kind, door: str, at_s: float, effect_s: float, plan: list[Any], outcome: Outcome
) -> Operation:
    steps = tuple(
        Step(object=name, value=value, elements=elements, revision=run.objects[name].states[-1][1] + 1)
        for name, value, _, elements in plan
    )
    code = "revision_mismatch" if outcome is Outcome.FAIL else "no_answer"
    return _operation(run, kind, door, at_s, effect_s, outcome, steps=steps, code=code)


def _read(run: _Run, kind: Kind, door: str, at_s: float, effect_s: float) -> Operation:
    client = _client(run, door)
    last = run.last.get((client, kind)) if run.chance.random() < 0.5 else None
    snapshot_s = effect_s
    if door != run.home:
        snapshot_s -= run.world.lag_s
    names = _names(run, kind) if last is None else last[0]
    if last is not None and run.objects[names[0]].at(snapshot_s)[1] < last[2]:
        return _operation(
            run, kind, door, at_s, effect_s, Outcome.FAIL, carried=last[1], code="too_far_behind",
            steps=tuple(Step(object=name) for name in names),
        )  # fmt: skip
    steps, bookmark = [], None
    for name in names:
        value, revision, bookmark = run.objects[name].at(snapshot_s)
        if kind is Kind.LISTS:
            steps.append(Step(object=name, elements=value or (), revision=revision))
        else:
            steps.append(Step(object=name, value=value, revision=revision))
    return _operation(
        run, kind, door, at_s, effect_s + run.chance.uniform(0, run.world.slowest_s), Outcome.OK,
        steps=tuple(steps), carried=None if last is None else last[1], region=door,
        bookmark=bookmark if kind is Kind.GET else None, staleness_ms=1000 * (effect_s - snapshot_s),
    )  # fmt: skip


def _names(run: _Run, kind: Kind) -> tuple[str, ...]:
    if kind is Kind.GET:
        return (f"r{run.chance.randrange(run.world.objects)}",)
    if kind is Kind.LISTS:
        return tuple(f"l{place}-{run.number // 200}" for place in range(run.world.objects))
    return tuple(f"a{place}" for place in range(run.world.objects + 1))


def _client(run: _Run, door: str) -> str:
    return f"{door}-{run.number % 5}"


def _operation(
    run: _Run, kind: Kind, door: str, at_s: float, end_s: float, outcome: Outcome, **about: Any
) -> Operation:
    is_write = kind in (*_WRITES, Kind.DEPOSIT)
    return Operation(
        id=run.number + 1, client=_client(run, door), door=door, kind=kind, placement=PLACEMENT, tenant=TENANT,
        invoked_s=at_s, completed_s=max(at_s, end_s), outcome=outcome,
        key=f"k{run.number}" if is_write else None, patient=True, **about,
    )  # fmt: skip


def _final(run: _Run, number: int, region: str, at_s: float) -> Operation:
    return Operation(
        id=number, client="end", door=region, kind=Kind.MEMBERS, placement=PLACEMENT, tenant=TENANT, invoked_s=at_s,
        completed_s=at_s + 0.1, outcome=Outcome.OK, region=region, staleness_ms=0.0, members=tuple(run.written),
    )  # fmt: skip


def _final_lists(run: _Run, number: int, region: str, at_s: float) -> Operation:
    lists = [(name, versions.states[-1]) for name, versions in run.objects.items() if name.startswith("l")]
    steps = (Step(object=name, elements=value or (), revision=revision) for name, (value, revision, _) in lists)
    return Operation(
        id=number, client="end", door=region, kind=Kind.LISTS, placement=PLACEMENT, tenant=TENANT, invoked_s=at_s,
        completed_s=at_s + 0.1, outcome=Outcome.OK, region=region, staleness_ms=0.0, steps=tuple(steps),
    )  # fmt: skip
