"""The laws of the log, held against the model itself: histories of two or three regions, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from intelgraph.changelog.model.append import Appended, Refused, Request, append
from intelgraph.changelog.model.holding import Holding, arrive, cut_of, redacted, statuses
from intelgraph.changelog.model.log import (
    Class,
    Identity,
    Kind,
    Opening,
    Ranges,
    Row,
    Rows,
    Status,
    Writer,
    accepted,
    classify,
    dangling,
    decisions,
    digests,
    erased,
    in_force,
    opens,
    outcomes,
    state,
    uncut,
    undecided,
)

REGIONS = ("us-east", "eu-west", "us-west")
IDS = ("a", "b", "c")


def as_ranges(positions: set[int]) -> Ranges:
    return tuple((position, position) for position in sorted(positions))


@dataclass
class Story:
    """A placement in three regions whose links carry rows in the order they were written, when told to."""

    logs: dict[str, list[Row]] = field(default_factory=lambda: {region: [] for region in REGIONS})
    holdings: dict[str, Holding] = field(default_factory=lambda: {name: Holding(region=name) for name in REGIONS})
    carried: dict[tuple[str, str], int] = field(default_factory=dict)
    epoch: int = 0
    home: str = REGIONS[0]

    def write(self, region: str, kind: Kind, epoch: int, **facts: Any) -> Row:
        position = len(self.logs[region]) + 1
        identity = Identity(region, 1, position)
        digest = (hash(region) ^ (position * 0x9E3779B97F4A7C15)) % 2**64
        row = Row(identity=identity, epoch=epoch, kind=kind, digest=digest, replicate_to=frozenset(REGIONS), **facts)
        self.logs[region].append(row)
        self.holdings[region] = arrive(self.holdings[region], row)
        return row

    def open(self, region: str) -> Row:
        self.epoch += 1
        self.home = region
        cut = {writer: as_ranges(held) for writer, held in cut_of(self.holdings[region].rows).items()}
        opening = Opening(regions=frozenset(REGIONS), cut=cut)
        return self.write(region, Kind.OPEN, self.epoch, opening=opening)

    def append(self, region: str, request: Request) -> Row | Refused | None:
        answer = append(self.holdings[region], Writer(region, 1), request)
        if not isinstance(answer, Appended):
            return answer if isinstance(answer, Refused) else None
        touched = frozenset(item["id"] for item in answer.objects.values())
        facts = {"touched": touched, "tenant": request.tenant, "key": request.key, "request": request.request}
        return self.write(region, Kind.WRITE, request.epoch, objects=tuple(answer.objects.values()), **facts)

    def carry(self, origin: str, destination: str, rows: int) -> None:
        done = self.carried.get((origin, destination), 0)
        for row in self.logs[origin][done : done + rows]:
            self.holdings[destination] = arrive(self.holdings[destination], row)
        self.carried[origin, destination] = min(done + rows, len(self.logs[origin]))

    def carry_everything(self) -> None:
        for origin in REGIONS:
            for destination in set(REGIONS) - {origin}:
                self.carry(origin, destination, len(self.logs[origin]))

    @property
    def rows(self) -> list[Row]:
        return [row for log in self.logs.values() for row in log]


def entity(id_: str, name: str = "n") -> dict[str, Any]:
    return {"op": "upsert_entity", "entity": {"id": id_, "type": "thing", "name": name}}


def relationship(id_: str, source: str, target: str) -> dict[str, Any]:
    wanted = {"id": id_, "type": "uses", "source": source, "target": target}
    return {"op": "upsert_relationship", "relationship": wanted}


def write(epoch: int, key: str, *operations: Mapping[str, Any]) -> Request:
    return Request(epoch=epoch, tenant="t", key=key, request=key, operations=operations)


OPERATIONS = st.one_of(
    st.builds(entity, st.sampled_from(IDS), st.sampled_from(("n", "m"))),
    st.builds(relationship, st.sampled_from(("r", "s")), st.sampled_from(IDS), st.sampled_from(IDS)),
    st.builds(lambda id_: {"op": "delete_entity", "id": id_}, st.sampled_from(IDS)),
    st.builds(lambda id_: {"op": "erase", "ids": [id_]}, st.sampled_from(("c", "s"))),
)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A random history: writes by whoever believes to be home, some rows carried, epochs opened, decisions made."""
    story = Story()
    story.open(REGIONS[0])
    for number in range(draw(st.integers(1, 25))):
        step = draw(st.sampled_from(("append", "append", "append", "carry", "carry", "open", "decide")))
        region = draw(st.sampled_from(REGIONS))
        if step == "append":
            mine = [row.epoch for row in opens(story.holdings[region].rows)[:1]]
            key = draw(st.sampled_from((f"k{number}", f"k{number}", "k")))
            operations = draw(st.lists(OPERATIONS, min_size=1, max_size=3))
            story.append(region, write(mine[0] if mine else 1, key, *operations))
        elif step == "carry":
            story.carry(region, draw(st.sampled_from(REGIONS)), draw(st.integers(1, 6)))
        elif step == "open" and story.epoch < 4:
            story.open(region)
        elif step == "decide":
            waiting = sorted(undecided(story.holdings[story.home].rows))
            if waiting:
                kind = draw(st.sampled_from((Kind.ADOPT, Kind.ADOPT, Kind.REJECT)))
                story.write(story.home, kind, story.epoch, named=frozenset({draw(st.sampled_from(waiting))}))
    return story


@st.composite
def takeovers(draw: st.DrawFn) -> Story:
    """A home is lost with a tail of its own, and the next one writes about the same few objects."""
    story = Story()
    story.open(REGIONS[0])
    known = [entity("a"), entity("b"), *draw(st.lists(OPERATIONS, max_size=2))]
    for number, operation in enumerate(known):
        story.append(REGIONS[0], write(1, f"known{number}", operation))
    story.carry_everything()
    for epoch in range(1, draw(st.integers(2, 3))):
        home, later = REGIONS[epoch - 1], REGIONS[epoch]
        for number, operation in enumerate(draw(st.lists(OPERATIONS, min_size=1, max_size=3))):
            story.append(home, write(epoch, f"tail{epoch}.{number}", operation))
        story.open(later)
        for number, operation in enumerate(draw(st.lists(OPERATIONS, max_size=2))):
            story.append(later, write(epoch + 1, f"later{epoch}.{number}", operation))
        for destination in set(REGIONS) - {later}:
            story.carry(later, destination, len(story.logs[later]))
    story.carry_everything()
    return story


@given(stories(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_arrival_and_repeats_make_no_difference(story: Story, random: Any) -> None:
    shuffled = [*story.rows, *story.rows]
    random.shuffle(shuffled)
    one, other = Holding(region="us-east"), Holding(region="us-east")
    for row in story.rows:
        one = arrive(one, row)
    for row in shuffled:
        other = arrive(other, row)
    assert one.rows == other.rows
    assert (state(one.rows), outcomes(one.rows), classify(one.rows), statuses(one)) == (
        state(other.rows),
        outcomes(other.rows),
        classify(other.rows),
        statuses(other),
    )


@given(stories())
@settings(deadline=None)
def test_regions_that_hold_the_same_rows_agree_on_everything(story: Story) -> None:
    story.carry_everything()
    one, *others = (story.holdings[region] for region in REGIONS)
    for other in others:
        assert state(one.rows) == state(other.rows)
        assert digests(one.rows) == digests(other.rows)
        assert statuses(one) == statuses(other)


@given(stories())
@settings(deadline=None)
def test_opening_an_epoch_does_not_change_what_its_home_shows(story: Story) -> None:
    for region in REGIONS:
        before = story.holdings[region].rows
        shown, known, answered = state(before), accepted(before), outcomes(before)
        opened = replace(story, holdings=dict(story.holdings), logs={k: list(v) for k, v in story.logs.items()})
        row = opened.open(region)
        after = opened.holdings[region].rows
        assert (state(after), outcomes(after)) == (shown, answered)
        assert accepted(after) == known | {row.identity}


@given(stories())
@settings(deadline=None)
def test_a_tail_that_returns_changes_nothing_but_what_it_erases(story: Story) -> None:
    story.carry_everything()
    highest = opens(story.holdings[story.home].rows)[0]
    assert highest.opening is not None
    rows = story.holdings[story.home].rows
    known = {key: row for key, row in rows.items() if row.epoch >= highest.epoch or highest.opening.holds(key)}
    if decisions(rows):
        return
    gone = erased(rows.values())
    expected = {key: form for key, form in state(known).items() if (key.tenant, key.id) not in gone}
    assert state(rows) == expected


@given(stories())
@settings(deadline=None)
def test_every_write_is_accepted_or_decided_or_listed_with_one_class(story: Story) -> None:
    for holding in story.holdings.values():
        writes = {key for key, row in holding.rows.items() if row.kind is Kind.WRITE}
        listed = classify(holding.rows).keys()
        assert writes == (accepted(holding.rows) & writes) | (decisions(holding.rows).keys() & writes) | listed
        assert not listed & accepted(holding.rows)


@given(stories())
@settings(deadline=None)
def test_no_epoch_has_two_accepted_writers(story: Story) -> None:
    story.carry_everything()
    rows = story.holdings["us-east"].rows
    writers: dict[int, set[Writer]] = {}
    for identity in accepted(rows):
        writers.setdefault(rows[identity].epoch, set()).add(identity.writer)
    assert all(len(found) == 1 for found in writers.values())


@given(stories())
@settings(deadline=None)
def test_every_home_saw_what_it_built_on(story: Story) -> None:
    """A relationship that is alive has its endpoints, unless a decision, an erasure or a lost tail came between."""
    rows = story.holdings[story.home].rows
    if not decisions(rows) and not erased(rows.values()) and story.epoch == 1:
        assert not dangling(rows)


@given(stories())
@settings(deadline=None)
def test_an_erased_id_has_no_state_and_no_content_in_any_row(story: Story) -> None:
    for holding in story.holdings.values():
        gone = holding.erased
        assert not {(key.tenant, key.id) for key in state(holding.rows)} & gone
        for identity, objects in redacted(holding).items():
            tenant = str(holding.rows[identity].tenant)
            assert not {(tenant, item["id"]) for item in objects if item["kind"] != "erased"} & gone


@given(stories())
@settings(deadline=None)
def test_adoption_changes_only_the_objects_of_the_adopted_row(story: Story) -> None:
    rows = story.holdings[story.home].rows
    for identity in undecided(rows):
        adopted = _with_decision(story, rows, identity, Kind.ADOPT)
        touched = {(item["kind"], item["id"]) for item in rows[identity].objects}
        before, after = state(rows), state(adopted)
        assert {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)} <= {
            key for key in before.keys() | after.keys() if (key.kind, key.id) in touched
        }
        assert identity in accepted(adopted)
        assert state(_with_decision(story, rows, identity, Kind.REJECT)) == before


def _with_decision(story: Story, rows: Rows, named: Identity, kind: Kind) -> Rows:
    identity = Identity(story.home, 1, len(story.logs[story.home]) + 1)
    row = Row(identity=identity, epoch=story.epoch, kind=kind, digest=0, named=frozenset({named}))
    return {**rows, identity: row}


@given(st.one_of(stories(), takeovers(), takeovers()))
@settings(deadline=None)
def test_an_adoptable_row_leaves_nothing_dangling(story: Story) -> None:
    rows = story.holdings[story.home].rows
    for identity, found in classify(rows).items():
        if found is Class.ADOPTABLE:
            adopted = _with_decision(story, rows, identity, Kind.ADOPT)
            assert dangling(adopted) <= dangling(rows)


@given(stories(), st.integers(0, 40))
@settings(deadline=None)
def test_digests_add_up_over_any_split_of_the_rows(story: Story, size: int) -> None:
    story.carry_everything()
    whole = story.holdings["us-east"].rows
    names = sorted(whole)
    parts = [digests({key: whole[key] for key in part}) for part in (names[:size], names[size:])]
    for bucket, total in digests(whole).items():
        found = [part[bucket] for part in parts if bucket in part]
        assert total == (sum(one.rows for one in found), sum(one.sum for one in found) % 2**64)


@given(stories())
@settings(deadline=None)
def test_a_first_outcome_never_moves_to_a_later_row(story: Story) -> None:
    story.carry_everything()
    rows = story.holdings["us-east"].rows
    for (tenant, key), first in outcomes(rows).items():
        rivals = [row for row in rows.values() if (row.tenant, row.key) == (tenant, key)]
        assert all(rows[first].rank <= row.rank for row in rivals if row.identity in accepted(rows))


# ------------------------------------------------------------------------------------------ told by example


def test_a_row_in_a_hole_of_the_cut_is_inert_although_higher_positions_count() -> None:
    story = Story()
    story.open("us-east")
    for key in ("k1", "k2", "k3"):
        story.append("us-east", write(1, key, entity(key)))
    first, second, third = story.logs["us-east"][1:]
    for row in (story.logs["us-east"][0], first, third):
        story.holdings["eu-west"] = arrive(story.holdings["eu-west"], row)
    story.open("eu-west")
    story.holdings["eu-west"] = arrive(story.holdings["eu-west"], second)
    assert statuses(story.holdings["eu-west"])[second.identity] is Status.INERT
    assert statuses(story.holdings["eu-west"])[third.identity] is Status.APPLIED


def test_an_open_that_the_next_home_never_saw_cuts_nothing() -> None:
    story = Story()
    story.open("us-east")
    story.append("us-east", write(1, "k1", entity("a")))
    story.open("eu-west")
    story.append("us-east", write(1, "k2", entity("b")))
    story.open("us-east")
    story.carry_everything()
    rows = story.holdings["eu-west"].rows
    assert [row.epoch for row in in_force(rows)] == [3, 1]
    assert {key.id for key in state(rows)} == {"a", "b"}


def test_a_stub_is_filled_again_once_its_region_is_allowed_again() -> None:
    story = Story()
    story.open("us-east")
    row = story.append("us-east", write(1, "k1", entity("a")))
    assert isinstance(row, Row)
    story.carry_everything()
    leaving = Opening(regions=frozenset({"us-east", "us-west"}), cut={Writer("us-east", 1): ((1, 9),)})
    story.write("us-east", Kind.OPEN, 2, opening=leaving)
    story.carry_everything()
    gone = story.holdings["eu-west"]
    assert gone.rows[row.identity].stub and not state(gone.read)
    assert digests(gone.rows) == digests(story.holdings["us-east"].rows)
    assert arrive(gone, row) == gone
    back = replace(leaving, regions=frozenset(REGIONS))
    story.write("us-east", Kind.OPEN, 3, opening=back)
    story.carry_everything()
    assert story.holdings["eu-west"].rows[row.identity] != row
    filled = arrive(story.holdings["eu-west"], row)
    assert {key.id for key in state(filled.read)} == {"a"}


def test_an_unknown_version_holds_the_rows_after_it_but_no_erasure() -> None:
    story = Story()
    story.open("us-east")
    story.append("us-east", write(1, "k1", entity("a")))
    story.write("us-east", Kind.WRITE, 1, version=2, tenant="t", key="k2")
    story.append("us-east", write(1, "k3", entity("b")))
    assert story.holdings["us-east"].held
    refused = story.append("us-east", write(1, "k4", entity("c")))
    assert refused == Refused(code="held")
    late = Row(
        identity=Identity("us-east", 1, 4),
        epoch=1,
        kind=Kind.WRITE,
        digest=4,
        tenant="t",
        key="k5",
        objects=({"kind": "erased", "id": "a"},),
    )
    holding = arrive(story.holdings["us-east"], late)
    assert statuses(holding)[late.identity] is Status.HELD
    assert ("t", "a") in holding.erased
    assert uncut(holding.read) == {Identity("us-east", 1, 1), Identity("us-east", 1, 2)}
