"""What becomes by itself of rows beyond a cut, held against the model of the log until nothing is left to decide."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelgraph.changelog.model.holding import arrive
from intelgraph.changelog.model.log import Class, Identity, Kind, Row, Rows, accepted, classify, dangling
from intelgraph.changelog.salvage_policy import Inert, SalvageClass, salvage

from .test_model import Story, entity, relationship, stories, takeovers, write


def inert(story: Story) -> list[Inert]:
    rows = story.holdings[story.home].rows
    return [
        Inert(
            row=tuple(identity),
            epoch=rows[identity].epoch,
            tenant=str(rows[identity].tenant),
            key=str(rows[identity].key),
            kind=SalvageClass(found.value),
            removes=frozenset(
                item["id"] for item in rows[identity].objects if item["kind"] == "entity" and item.get("deleted")
            ),
            needs=frozenset(
                item[end]
                for item in rows[identity].objects
                if item["kind"] == "relationship" and not item.get("deleted")
                for end in ("source", "target")
            ),
        )
        for identity, found in classify(rows).items()
    ]


def settle(story: Story) -> int:
    for rounds in range(50):
        said = salvage(inert(story))
        if not said.decides:
            return rounds
        for kind, chosen in ((Kind.ADOPT, said.adopt), (Kind.REJECT, said.reject)):
            if chosen:
                named = frozenset(Identity(*one) for one in chosen)
                story.write(story.home, kind, story.epoch, named=named)
    raise AssertionError("it never ends")


@given(st.one_of(stories(), takeovers(), takeovers()))
@settings(deadline=None)
def test_it_ends_and_leaves_to_people_what_only_they_can_decide(story: Story) -> None:
    for name, holding in story.holdings.items():
        for row in story.rows:
            holding = arrive(holding, row)
        story.holdings[name] = holding
    loose = dangling(story.holdings[story.home].rows)
    settle(story)
    rows = story.holdings[story.home].rows
    assert dangling(rows) <= loose
    assert set(classify(rows).values()) <= {Class.CONFLICT, Class.ILLEGAL}
    people = salvage(inert(story)).people
    assert {Identity(*one) for one in people} == classify(rows).keys()


@given(stories())
@settings(deadline=None)
def test_no_key_is_adopted_twice(story: Story) -> None:
    settle(story)
    rows = story.holdings[story.home].rows
    adopted = [rows[name] for row in rows.values() if row.kind is Kind.ADOPT for name in row.named if name in rows]
    counted = [row for row in adopted if row.identity in accepted(rows)]
    assert len({(row.tenant, row.key) for row in counted}) == len({row.identity for row in counted}) or not counted


def test_two_tails_with_one_key_are_adopted_once_and_then_a_duplicate() -> None:
    story = Story()
    story.open("us-east")
    story.carry_everything()
    story.append("us-east", write(1, "k", entity("a")))
    story.open("eu-west")
    story.append("eu-west", write(2, "other", entity("b")))
    story.carry_everything()
    assert [one.kind for one in inert(story)] == [SalvageClass.ADOPTABLE]
    twice = [*inert(story), Inert(row=("us-west", 1, 9), epoch=1, tenant="t", key="k", kind=SalvageClass.ADOPTABLE)]
    said = salvage(twice)
    assert (len(said.adopt), said.reject, said.people) == (1, (), ())


def test_a_round_adopts_no_relationship_together_with_the_deletion_of_its_end() -> None:
    kind = SalvageClass.ADOPTABLE
    deletion = Inert(row=("us-east", 1, 9), epoch=1, tenant="t", key="k", kind=kind, removes=frozenset("a"))
    relating = Inert(row=("eu-west", 1, 9), epoch=2, tenant="t", key="l", kind=kind, needs=frozenset("ab"))
    other = Inert(row=("eu-west", 1, 10), epoch=2, tenant="u", key="m", kind=kind, needs=frozenset("ab"))
    assert salvage([deletion, relating, other]).adopt == (deletion.row, other.row)
    earlier = Inert(row=("eu-west", 1, 5), epoch=1, tenant="t", key="n", kind=kind, needs=frozenset("a"))
    assert salvage([deletion, earlier]).adopt == (earlier.row,)


def row(position: int, key: str | None = "", *, tenant: str = "t", removes: str = "", needs: str = "") -> Inert:
    """An adoptable row: its key is its own unless it is given."""
    return Inert(
        row=("us-east", 1, position),
        epoch=1,
        tenant=tenant,
        key=f"k{position}" if key == "" else key,
        kind=SalvageClass.ADOPTABLE,
        removes=frozenset(removes),
        needs=frozenset(needs),
    )


def adopted(*rows: Inert) -> list[int]:
    return [position for _, _, position in salvage(rows).adopt]


CONFLICT = SalvageClass.CONFLICT


@pytest.mark.parametrize(
    ("rows", "positions"),
    [
        pytest.param(
            [row(1, needs="a"), row(2, removes="a", needs="qb"), row(3, removes="q")], [1], id="what it needs"
        ),
        pytest.param(
            [row(1, needs="a"), row(2, removes="ab"), row(3, needs="b"), row(4)], [1, 4], id="what it removes"
        ),
        pytest.param([row(1, needs="a"), row(2, "k", removes="a"), row(3, "k")], [1], id="its key"),
    ],
)
def test_what_waits_keeps_later_rows_from_what_would_make_it_a_conflict(
    rows: list[Inert], positions: list[int]
) -> None:
    assert adopted(*rows) == positions


def test_rows_without_a_key_are_no_repeats_of_each_other() -> None:
    assert adopted(row(1, None), row(2, None)) == [1, 2]
    assert adopted(row(1, "k"), row(2, "k"), row(3, "k", tenant="u")) == [1, 3]


def test_what_one_tenant_needs_or_removes_keeps_no_other_s_rows() -> None:
    there = replace(row(1, needs="a"), kind=CONFLICT)
    assert adopted(there, row(2, removes="a", tenant="u"), row(3, removes="a")) == [2]
    assert adopted(row(1, needs="a"), row(2, removes="a", tenant="u")) == [1, 2]
    assert adopted(row(1, removes="a"), row(2, needs="a", tenant="u"), row(3, needs="a")) == [1, 2]


def test_by_hand_means_that_nothing_is_decided() -> None:
    one = Inert(row=("us-east", 1, 9), epoch=1, tenant="t", key="k", kind=SalvageClass.ADOPTABLE)
    said = salvage([one], automatic=False)
    assert not said.decides and said.people == (one.row,)


def test_a_deletion_at_the_other_end_of_what_dangles_already_is_a_conflict() -> None:
    """A home that had not heard of the relationship deleted both ends, and one deletion is adopted by hand."""
    story = Story()
    story.open("us-east")
    story.append("us-east", write(1, "both", entity("a"), entity("b")))
    story.carry_everything()
    related = story.append("us-east", write(1, "related", relationship("r", "a", "b")))
    story.open("eu-west")
    deletions = [story.append("eu-west", write(2, id_, {"op": "delete_entity", "id": id_})) for id_ in ("a", "b")]
    story.open("us-west")
    story.carry_everything()
    rows: Rows = story.holdings["us-west"].rows
    assert isinstance(related, Row) and rows.keys() >= {related.identity}
    first, second = [row.identity for row in deletions if isinstance(row, Row)]
    of = classify(rows)
    assert {of[related.identity], of[first], of[second]} == {Class.ADOPTABLE}
    story.write("us-west", Kind.ADOPT, story.epoch, named=frozenset({related.identity}))
    rows = story.holdings["us-west"].rows
    assert classify(rows) == {first: Class.CONFLICT, second: Class.CONFLICT}
    story.write("us-west", Kind.ADOPT, story.epoch, named=frozenset({first}))
    rows = story.holdings["us-west"].rows
    assert dangling(rows)
    assert classify(rows) == {second: Class.CONFLICT}
