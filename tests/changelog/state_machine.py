"""The state machine: which steps a generated history may take. After each, the regions it concerned equal the model.

A step is a write at any region in any epoch, several writes at once, rows carried or lost or repeated, two streams at
once, an epoch opened, a decision about a tail, a new life, reissue, an upgrade, a premature version, compaction. At
the end everything still on its way is carried and regions that hold the same rows are compared with each other.

What is drawn never depends on what the databases answered: a step that makes no sense where it comes is passed over.
Otherwise a race that two transactions may win in either order would confuse the generator.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from intelgraph.changelog.model.append import Request
from intelgraph.changelog.model.log import Class, Kind, classify, digests, state

from .answers import append_together
from .comparison import compare
from .drawn import IDS, batches, deletions, entity, ids, linked, plain, wrong
from .regions import Cluster, Json
from .world import REPEATED_KEYS, World

EPOCHS_MAX = 5

index = st.integers(0, 2)


class Histories(RuleBasedStateMachine):
    """Histories over the regions of ``cluster``, which a subclass sets."""

    cluster: Cluster

    def __init__(self) -> None:
        super().__init__()
        names = tuple(self.cluster.regions)
        self.world = World(cluster=self.cluster, names=names, number=self.cluster.begin())
        self.steps = 0
        self.compacting = False

    def name(self, number: int) -> str:
        return self.world.names[number % len(self.world.names)]

    def request(self, tenant: int, key: int, epoch: int, batch: list[Any]) -> Request:
        """A new key most of the time; after a compaction always, since it forgets keys."""
        self.steps += 1
        again = key < 2 and not self.compacting
        return Request(
            epoch=epoch,
            tenant=self.world.tenant(tenant),
            key=REPEATED_KEYS[key] if again else f"k{self.steps}",
            request=str(batch),
            operations=tuple(batch),
        )

    @property
    def home(self) -> str | None:
        """The region that holds the highest epoch, if its life is still the same."""
        for name in self.world.names:
            if self.world.at_home(name):
                return name
        return None

    def waiting(self) -> list[tuple[str, str]]:
        """The streams with something in them."""
        return [ends for ends, stream in self.world.streams.items() if stream]

    def looked(self, *names: str) -> None:
        for name in names:
            compare(self.world, name)

    # -------------------------------------------------------------------------------------- writing

    @initialize(
        members=st.sampled_from((0, 0, 0, 1)), begun=st.lists(batches, min_size=1, max_size=3), known=st.booleans()
    )
    def first(self, members: int, begun: list[list[Any]], known: bool) -> None:
        """Every history begins with some writes that the others have, or have still to come."""
        names = self.world.names if members == 0 else self.world.names[:2]
        self.world.open(names[0], names, force=False)
        for batch in [[entity("a", "0", "t", True, None), entity("c", "0", "t", False, None)], *begun]:
            self.world.append(names[0], self.request(0, 5, 1, batch))
        if known:
            self.world.deliver_everything()
        self.looked(*names)

    @rule(batch=batches, tenant=st.sampled_from((0, 0, 0, 1)), key=st.integers(0, 5))
    def write(self, batch: list[Any], tenant: int, key: int) -> None:
        name = self.home or self.name(0)
        self.world.append(name, self.request(tenant, key, self.world.believed(name), batch))
        self.looked(name)

    @rule(
        asked=st.lists(st.tuples(st.sampled_from((0, 0, 0, 1)), st.integers(0, 5), batches), min_size=2, max_size=5),
        single=st.booleans(),
    )
    def write_together(self, asked: list[tuple[int, int, list[Any]]], single: bool) -> None:
        """Several requests in one transaction, often of the common shape: one entity each."""
        name = self.home or self.name(0)
        epoch = self.world.believed(name)
        requests = [self.request(tenant, key, epoch, batch[:1] if single else batch) for tenant, key, batch in asked]
        append_together(self.world, name, requests)
        self.looked(name)

    @rule(one=plain, other=linked)
    def write_another(self, one: Any, other: Any) -> None:
        self.write([one, other], 0, 5)

    @rule(chosen=st.sampled_from((["a"], ["b"], ["c"], ["r"], ["s"], ["a", "s"], ["c", "z"])), where=index)
    def erase(self, chosen: list[str], where: int) -> None:
        """At home or at an old home: an erasure is for ever even in a row that never counts."""
        believers = [name for name in self.world.names if self.world.believes(name)]
        name = believers[where % len(believers)] if believers else self.name(where)
        self.world.append(name, self.request(0, 5, self.world.believed(name), [{"op": "erase", "ids": chosen}]))
        self.looked(name)

    @rule(where=index, batch=batches, key=st.integers(0, 3))
    def write_a_tail(self, where: int, batch: list[Any], key: int) -> None:
        """An old home goes on until it hears of the new epoch."""
        believers = [name for name in self.world.names if self.world.believes(name) and name != self.home]
        if not believers:
            return
        name = believers[where % len(believers)]
        self.world.append(name, self.request(0, key, self.world.believed(name), batch))
        self.looked(name)

    @rule(batch=batches, bad=wrong, first=st.booleans())
    def write_badly(self, batch: list[Any], bad: Any, first: bool) -> None:
        """One operation is wrong, so nothing of the request happens."""
        name = self.home or self.name(0)
        wrong_batch = [bad, *batch] if first else [*batch, bad]
        self.world.append(name, self.request(0, 5, self.world.believed(name), wrong_batch))
        self.looked(name)

    @rule(where=index, off=st.sampled_from((-1, 0, 0, 0, 1)), batch=batches, key=st.integers(0, 3))
    def write_anywhere(self, where: int, off: int, batch: list[Any], key: int) -> None:
        """Refused nearly always, each time for the right reason."""
        name = self.name(where)
        self.world.append(name, self.request(0, key, max(1, self.world.believed(name) + off), batch))
        self.looked(name)

    @rule(first=ids, second=ids, third=batches, same_key=st.booleans())
    def write_at_once(self, first: str, second: str, third: list[Any], same_key: bool) -> None:
        """The first keeps an object locked; the second needs it and another one; the third needs the other one."""
        if self.home is None:
            return
        name = self.home or self.name(0)
        epoch = self.world.believed(name)
        one, other = entity(first, "1", "t", False, None), entity(second, "2", "t", False, None)
        both = [one, other] if first != second else [one, *third]
        batches_ = ([one], both, [other] if not same_key else both)
        requests = [self.request(0, 5, epoch, batch) for batch in batches_]
        if same_key:
            requests[2] = requests[1]
        self.world.append_at_once(name, requests)
        self.looked(name)

    @rule(ends=st.permutations(IDS))
    def write_at_once_again(self, ends: list[str]) -> None:
        self.write_at_once(ends[0], ends[1], [], False)

    # ------------------------------------------------------------------------------------- carrying

    @rule(which=st.integers(0, 5), rows=st.integers(1, 6))
    def carry(self, which: int, rows: int) -> None:
        if not self.waiting():
            return
        origin, name = self.waiting()[which % len(self.waiting())]
        for _ in range(rows):
            if self.world.deliver(origin, name) is None:
                break
        self.looked(name)

    @rule(name=index)
    def carry_all_to(self, name: int) -> None:
        if not self.waiting():
            return
        for _ in range(60):
            found = [self.world.deliver(origin, self.name(name)) for origin in self.world.names]
            if not any(found):
                break
        self.looked(self.name(name))

    @rule(first=index, second=index, name=index)
    def carry_at_once(self, first: int, second: int, name: int) -> None:
        """Two streams' transactions overlap at one reader."""
        if len(self.waiting()) < 2:
            return
        if self.world.deliver_at_once(self.name(first), self.name(second), self.name(name)):
            self.looked(self.name(name))

    @rule(origin=index, batch=batches)
    def carry_beside_a_write(self, origin: int, batch: list[Any]) -> None:
        if self.home not in [name for _origin, name in self.waiting()]:
            return
        name = self.home or self.name(0)
        request = self.request(0, 5, self.world.believed(name), batch)
        if self.world.deliver_beside_append(self.name(origin), name, request):
            self.looked(name)

    @rule(name=index, which=st.integers(0, 30))
    def repeat(self, name: int, which: int) -> None:
        """A row that came before comes again: after a crash of the reader, or reissued."""
        if self.world.repeat(self.name(name), which):
            self.looked(self.name(name))

    @rule(origin=index)
    def mark(self, origin: int) -> None:
        self.world.mark(self.name(origin))

    @rule(which=st.integers(0, 5))
    def lose(self, which: int) -> None:
        if not self.waiting():
            return
        self.world.lose(*self.waiting()[which % len(self.waiting())])

    # --------------------------------------------------------------------------------------- epochs

    @rule(
        where=index, without=st.sampled_from((None, None, 0, 1, 2)), force=st.sampled_from((False, False, False, True))
    )
    def open(self, where: int, without: int | None, force: bool) -> None:
        if self.world.epoch >= EPOCHS_MAX:
            return
        name = self.name(where)
        members = [one for one in self.world.names if without is None or one != self.name(without) or one == name]
        if self.world.may_open(name):
            self.world.open(name, members, force)
            self.looked(name)

    @rule(where=index, rows=st.integers(0, 4), batch=batches, without=st.sampled_from((None, None, 0, 1, 2)))
    def fail_over(self, where: int, rows: int, batch: list[Any], without: int | None) -> None:
        """The home is lost with a tail that only some regions have; another region goes on."""
        if self.world.epoch >= EPOCHS_MAX or self.home is None:
            return
        home, name = self.home or self.name(0), self.name(where)
        if name != home and self.world.may_open(name):
            for _ in range(rows):
                self.world.deliver(home, name)
            self.looked(name)
            self.open(where, without, force=False)
            request = self.request(0, 5, self.world.believed(home), batch)
            for region in (home, name):  # the client does not know who wrote it and asks both
                self.world.append(region, replace(request, epoch=self.world.believed(region)))
                self.looked(region)
            if without is not None:  # the removal overtakes what the old home had sent
                for origin in (name, home):
                    while self.world.deliver(origin, self.name(without)):
                        pass
                self.looked(self.name(without))

    @rule(where=index, tail=deletions, after=st.lists(linked, min_size=1, max_size=2), first=linked)
    def delete_in_a_tail(self, where: int, tail: list[Any], after: list[Any], first: Any) -> None:
        """What only the lost home deleted, the next one relates."""
        home, name = self.home, self.name(where)
        if home is None or name == home or self.world.epoch >= EPOCHS_MAX or not self.world.may_open(name):
            return
        self.world.append(home, self.request(0, 5, self.world.believed(home), [first]))
        self.carry_all_to(where)
        self.world.append(home, self.request(0, 5, self.world.believed(home), tail))
        self.world.open(name, self.world.names, force=False)
        for operation in after:
            self.world.append(name, self.request(0, 5, self.world.believed(name), [operation]))
        self.carry_all_to(where)
        self.looked(home, name)

    @rule(where=index)
    def live_again(self, where: int) -> None:
        if self.home is None or self.steps < 5:
            return
        self.world.new_life(self.name(where))
        self.looked(self.name(where))

    @rule(
        kind=st.sampled_from((Kind.ADOPT, Kind.ADOPT, Kind.REJECT)),
        heard=st.booleans(),
        by_hand=st.sampled_from((None, None, (0,), (0, 1), (2,))),
        any_row=st.sampled_from((None, None, None, 0, 3)),
    )
    def decide(self, kind: Kind, heard: bool, by_hand: tuple[int, ...] | None, any_row: int | None) -> None:
        """By class: everything adoptable. By hand: any inert rows, conflicts too, and a row that needs no decision."""
        name = self.home
        if name is None:
            return
        if heard:
            self.carry_all_to(self.world.names.index(name))
        classes = classify(self.world.holdings[name].read)
        chosen = {key for key, found in classes.items() if found is Class.ADOPTABLE}
        if by_hand is not None:
            chosen = {key for number, key in enumerate(sorted(classes)) if number in by_hand}
        if any_row is not None:
            rows = sorted(self.world.holdings[name].rows)
            chosen.add(rows[any_row % len(rows)])
        if chosen:
            self.world.decide(name, kind, sorted(chosen))
            self.looked(name)

    # --------------------------------------------------------------------------------------- repair

    @rule(source=index, name=index, carried=st.booleans())
    def reissue(self, source: int, name: int, carried: bool) -> None:
        if not any(self.world.missing(name) for name in self.world.names):
            return
        if source % len(self.world.names) != name % len(self.world.names):
            self.world.reissue(self.name(source), self.name(name))
            if carried:
                self.carry_all_to(name)  # type: ignore[operator]

    @rule(which=st.integers(0, 5), batch=batches, repaired=st.booleans())
    def lose_and_repair(self, which: int, batch: list[Any], repaired: bool) -> None:
        """What was lost comes again after rows that are newer."""
        waiting = [(origin, name) for origin, name in self.waiting() if origin == self.home]
        if waiting:
            origin, name = waiting[which % len(waiting)]
            self.world.lose(origin, name)
            self.world.append(origin, self.request(0, 5, self.world.believed(origin), batch))
            self.world.mark(origin)
            while self.world.deliver(origin, name):
                pass
            self.looked(origin, name)
            if repaired:
                self.world.reissue(origin, name)
                while self.world.deliver(origin, name):
                    pass
                self.looked(name)

    @rule(name=index)
    def close_gap(self, name: int) -> None:
        if not any(self.world.gaps.values()):
            return
        if self.world.close_gap(self.name(name)):
            self.looked(self.name(name))

    @rule(where=index)
    def upgrade(self, where: int) -> None:
        if self.steps < 13 and not any(holding.held for holding in self.world.holdings.values()):
            return
        self.world.upgrade(self.name(where))
        self.looked(self.name(where))

    @rule()
    def write_a_version_too_early(self) -> None:
        """The home is told that all readers read the next version, which is not so."""
        if self.steps < 9:
            return
        name = self.home
        if name is not None:
            self.world.mislead(name)
            self.world.append(
                name, self.request(0, 5, self.world.believed(name), [entity("a", "v2", "t", False, None)])
            )
            self.looked(name)

    @rule(where=index, which=index)
    def compact(self, where: int, which: int) -> None:
        if self.steps < 9:
            return
        self.world.deliver_everything()
        self.looked(*self.world.names)
        writers = sorted({key.writer for key in self.world.holdings[self.name(where)].rows})
        if writers and self.world.may_compact():
            self.compacting = True
            self.world.compact(self.name(where), writers[which % len(writers)])
            self.looked(*self.world.names)

    # ------------------------------------------------------------------------------------------ end

    def teardown(self) -> None:
        world = self.world
        world.deliver_everything()
        self.looked(*world.names)
        if self.cluster.histories % 8 == 0:
            for name in world.names:
                world.cluster.ask(name, "select ig.tally()")
            self.looked(*world.names)
        seen: dict[Any, Any] = {}
        for name in world.names:
            holding = world.holdings[name]
            if not holding.held:
                rows: Json = tuple(sorted((key, row.stub) for key, row in holding.rows.items()))
                assert seen.setdefault(rows, (state(holding.read), digests(holding.rows))) == (
                    state(holding.read),
                    digests(holding.rows),
                )
