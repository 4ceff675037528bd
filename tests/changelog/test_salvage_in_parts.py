"""A long tail is decided about page by page: where it is divided makes no difference to what goes in."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from intelgraph.changelog.model.log import Class, Identity, Kind, classify, dangling, state
from intelgraph.changelog.salvage_policy import (
    NOTHING_RESERVED,
    RESERVED_NAMES_MAX,
    Inert,
    Reserved,
    SalvageClass,
    salvage_part,
)
from intelgraph.control.agent.controller.salvage_pass import SalvagePass

from .test_model import Story, entity, relationship, takeovers, write
from .test_salvage_policy import inert

SEEN = (2, "1/1/1")
THINGS, LINKS = ("a", "b", "c", "q"), ("r", "s", "t")
OPERATIONS = st.one_of(
    st.builds(entity, st.sampled_from(THINGS), st.sampled_from(("n", "m"))),
    st.builds(relationship, st.sampled_from(LINKS), st.sampled_from(THINGS), st.sampled_from(THINGS)),
    st.builds(lambda id_: {"op": "delete_entity", "id": id_}, st.sampled_from(THINGS)),
    st.builds(lambda id_: {"op": "delete_relationship", "id": id_}, st.sampled_from(LINKS)),
)
REMOVALS = st.one_of(
    st.builds(lambda id_: {"op": "delete_entity", "id": id_}, st.sampled_from(THINGS)),
    st.builds(lambda id_: {"op": "delete_relationship", "id": id_}, st.sampled_from(LINKS)),
)


def ordered(story: Story) -> list[Inert]:
    return sorted(inert(story), key=lambda one: (one.epoch, one.row[2], one.row))


def settle(story: Story, rows: int) -> int:
    """Go through what waits in pages of so many rows, as the home's agent does; returns how many wait for people."""
    stands = SalvagePass()
    after: tuple[Any, ...] = ()
    for _ in range(2_000):
        if not stands.is_due(SEEN):
            return stands.people
        left = [one for one in ordered(story) if (one.epoch, one.row[2], one.row) > after]
        page, more = left[:rows], len(left) > rows
        said = salvage_part(page, waits=stands.waits, reserved=stands.reserved)
        for kind, chosen in ((Kind.ADOPT, said.adopt), (Kind.REJECT, said.reject)):
            if chosen:
                story.write(story.home, kind, story.epoch, named=frozenset(Identity(*one) for one in chosen))
        after = (page[-1].epoch, page[-1].row[2], page[-1].row) if more else ()
        stands = stands.turned(
            SEEN,
            after="more" if more else None,
            decided=said.decides,
            people=len(said.people),
            passed_over=said.passed_over > 0,
            reserved=said.reserved,
        )
    raise AssertionError("it never ends")


def live(story: Story, region: str) -> dict[Any, Any]:
    """What lives, without what the log counts."""
    forms = state(story.holdings[region].rows)
    return {
        key: {part: value for part, value in form.object.items() if part != "revision"}
        for key, form in forms.items()
        if not form.object.get("deleted")
    }


@st.composite
def lost_homes(draw: st.DrawFn) -> Story:
    """A home is lost with a tail, and the next one has written about none of it.

    Rows of an object come between: the first rows of a tail are on one page, what deletes in it on later ones.
    """
    story = Story()
    story.open("us-east")
    for number, operation in enumerate([entity("b"), *draw(st.lists(OPERATIONS, max_size=2))]):
        story.append("us-east", write(1, f"known{number}", operation))
    story.carry_everything()
    requests = [[entity("a")], [entity("w"), relationship("r", "a", "b")]] if draw(st.booleans()) else []
    requests += draw(st.lists(st.lists(OPERATIONS, min_size=1, max_size=3), max_size=4))
    requests += [[entity(f"f{number}")] for number in range(draw(st.integers(0, 3)))]
    requests += draw(st.lists(st.lists(REMOVALS, min_size=1, max_size=2), max_size=3))
    for number, operations in enumerate(requests):
        story.append("us-east", write(1, f"tail{number}", *operations))
    story.open("eu-west")
    return story


@given(lost_homes(), st.integers(1, 5))
@settings(deadline=None)
def test_a_tail_that_nothing_stands_against_goes_in_whole_however_it_is_divided(story: Story, rows: int) -> None:
    there = live(story, "us-east")
    story.carry_everything()
    assert settle(story, rows) == 0
    assert ordered(story) == []
    assert live(story, "eu-west") == there


@given(takeovers(), st.integers(1, 3))
@settings(deadline=None)
def test_what_is_left_of_any_tail_is_for_people_however_it_is_divided(story: Story, rows: int) -> None:
    loose = dangling(story.holdings[story.home].rows)
    people = settle(story, rows)
    classes = classify(story.holdings[story.home].rows)
    assert set(classes.values()) <= {Class.CONFLICT, Class.ILLEGAL} and len(classes) == people
    assert dangling(story.holdings[story.home].rows) <= loose


def test_what_waits_in_one_part_keeps_the_rows_of_the_next_from_what_it_needs() -> None:
    def row(position: int, *, kind: SalvageClass = SalvageClass.ADOPTABLE, **touched: frozenset[str]) -> Inert:
        return Inert(row=("us-east", 1, position), epoch=1, tenant="t", key=f"k{position}", kind=kind, **touched)

    a, b = frozenset("a"), frozenset("b")
    waiting = row(1, kind=SalvageClass.CONFLICT, needs=a)
    part = salvage_part([waiting, row(2, removes=a, needs=b)], waits=True)
    assert (part.adopt, part.passed_over, part.reserved.needs) == ((), 1, {("t", "a"), ("t", "b")})
    for_later = [row(3, removes=b), row(4, needs=a), row(5)]
    later = salvage_part(for_later, waits=True, reserved=part.reserved)
    assert later.adopt == (("us-east", 1, 5),)
    assert part.reserved.needs <= later.reserved.needs and later.passed_over == 2
    # Nothing but what waits is carried: what was adopted is in the state that the next part is classed by.
    assert salvage_part([row(1, needs=a)], waits=True).reserved == NOTHING_RESERVED
    # Not waiting for what is for people is not passing it over for ever: the first that can be goes in.
    assert salvage_part([waiting, row(2, removes=a)], waits=False).adopt == (("us-east", 1, 2),)
    assert salvage_part([waiting], waits=False).reserved == Reserved()


def test_what_is_carried_from_part_to_part_is_bounded() -> None:
    """The agent that keeps the lease carries it: a tail may have any number of rows that wait."""
    full = Reserved(needs=frozenset(("t", f"e{number}") for number in range(RESERVED_NAMES_MAX - 1)))
    one, two = (
        Inert(row=("us-east", 1, 1), epoch=1, tenant="t", key="k", kind=SalvageClass.CONFLICT, needs=frozenset(needs))
        for needs in ("a", "ab")
    )
    assert len(salvage_part([one], waits=True, reserved=full).reserved.needs) == RESERVED_NAMES_MAX
    assert salvage_part([two], waits=True, reserved=full).reserved == full
