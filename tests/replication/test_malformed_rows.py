"""Apply is total: whatever a replicated row holds, the stream goes on, and what cannot be applied is held and said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.replication.lone import Json, Lone, entity, opening, relation, touched, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]

BAD_BODIES: list[Json] = [
    None, 5, "text", [], {}, {"objects": None}, {"objects": 5}, {"objects": {}}, {"objects": [5]},
    {"objects": [entity("a", confidence=10**30)]}, {"objects": [entity("a", created="soon")]},
    {"objects": [entity("a", revision=None)]}, {"objects": [entity("a"), entity("a")]},
    {"objects": [entity("a", sources=7)]}, {"objects": [{"kind": "erased"}]}, {"objects": [entity("a", id=None)]},
]  # fmt: skip
HOLDS = [body for body in BAD_BODIES if body != {"objects": [5]}]


@pytest.mark.parametrize("body", HOLDS, ids=lambda body: str(body)[:60])
def test_a_write_that_cannot_be_applied_is_held_with_its_placement(alone: Tell, body: Json) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        stream = await region.stream()
        bad = write(2, body=body)
        await region.apply(bad, on=stream)
        await region.apply(write(3, entity("b")), on=stream)
        assert (await region.status(bad), await region.status(write(3))) == ("held", "held")
        assert (await region.entity("b"))["status"] == "held"
        await region.apply(opening(4, placement="other"), on=stream)
        assert await region.status(write(4)) == "applied"

    alone(story)


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: str(body)[:60])
def test_a_row_whose_content_is_partly_erased_never_stops_the_stream(alone: Tell, body: Json) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        erasure = await touched(region, write(2, {"kind": "erased", "id": "a"}))
        await region.apply(erasure)
        await region.apply({**write(3, body=body), "touches": erasure["touches"]})
        again = await touched(region, write(4, {"kind": "erased", "id": "z"}))
        await region.apply({**again, "touches": [*again["touches"], *erasure["touches"]]})
        assert await region.status(write(4)) is not None

    alone(story)


@pytest.mark.parametrize(
    "body",
    [None, 5, {}, {"home": None}, {"home": "us-east", "regions": 5}, {"home": "us-east", "regions": ["eu-west"]},
     {**opening(1)["body"], "cut": 5}, {**opening(1)["body"], "cut": [{"origin": "x", "life": 1, "held": "[1,"}]},
     {**opening(1)["body"], "digest_key": "no"}, {**opening(1)["body"], "cut": [{}]}],
    ids=lambda body: str(body)[:60],
)  # fmt: skip
def test_an_open_that_cannot_be_read_holds_a_placement_that_was_not_known(alone: Tell, body: Json) -> None:
    async def story(region: Lone) -> None:
        stream = await region.stream()
        await region.apply(opening(1, body=body), on=stream)
        await region.apply(write(2, entity("a")), on=stream)
        assert (await region.status(write(1)), await region.status(write(2))) == ("held", "held")
        assert (await region.entity("a"))["status"] == "held"
        assert (await region.append(0))["status"] == "refused"
        assert (await region.open(1))["status"] == "refused"
        await region.apply(opening(3, 2), on=stream)
        assert await region.status(write(3)) == "held"
        assert await region.ask("select ig.release('p')") == 3

    alone(story)


def test_two_opens_of_one_epoch_stop_nothing(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(opening(1, origin="eu-central"))
        await region.apply(opening(2))
        await region.apply(write(3, entity("a")))
        assert await region.status(write(3)) == "applied"

    alone(story)


def test_a_row_of_an_unknown_kind_is_held_where_it_may_live_and_bare_where_not(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1, regions=["us-east"]))
        await region.apply(write(2, kind="blob", version=2, body={"secret": "needle"}))
        assert await region.status(write(2)) == "dropped"
        assert await region.ask("select count(*) from ig.change where body::text like '%needle%'") == 0
        await region.apply(opening(3, placement="q"))
        await region.apply(write(4, kind="blob", placement="q"))
        assert await region.status(write(4)) == "held"

    alone(story)


@pytest.mark.parametrize("column", ["origin", "life", "position", "placement", "epoch", "version", "kind",
                                    "replicate_to", "touches", "digest", "written_at"])  # fmt: skip
def test_a_row_without_what_identifies_it_is_noted_and_passed(alone: Tell, column: str) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply({**write(2), column: None})
        assert await region.ask("select count(*) from ig.trouble") == 1
        assert await region.ask("select count(*) from ig.change") == 1

    alone(story)


@pytest.mark.parametrize("column", ["origin", "placement", "tenant", "kind"])
def test_a_row_with_a_name_too_long_for_an_index_is_noted_and_passed(alone: Tell, column: str) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        long = await region.ask("select string_agg(md5(n::text), '') from generate_series(1, 2000) n")
        await region.apply(write(2, **{column: long}))
        assert await region.ask("select count(*) from ig.trouble") == 1

    alone(story)


@pytest.mark.parametrize("body", [None, 5, [], {}, {"number": "x"}, {"settled": [[1]], "number": 1, "reads": 1},
                                  {"origin": None}, {"placement": "p"}, {"placement": "p", "objects": 5},
                                  {"placement": "p", "objects": [{}], "floors": 5}])  # fmt: skip
def test_garbage_in_signals_is_noted_and_passed(alone: Tell, body: Json) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        stream = await region.stream()
        for kind in ("mark", "row", "snapshot", "nonsense"):
            await region.signal("us-east", kind, body, on=stream)
        assert await region.ask("select count(*) from ig.trouble") > 0
        assert await region.ask("select count(*) from ig.signal") == 0

    alone(story)


def test_an_erasure_does_not_wait_for_a_hold_to_be_lifted(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(await touched(region, write(2, entity("x", name="needle"))))
        await region.apply(write(3, version=2))
        await region.apply(await touched(region, write(4, entity("x", name="needle", revision=2))))
        await region.apply(await touched(region, write(5, {"kind": "erased", "id": "x"})))
        assert await region.status(write(5)) == "held"
        assert await region.ask("select count(*) from ig.change where body::text like '%needle%'") == 0
        assert await region.ask("select count(*) from ig.entity") == 0

    alone(story)


def test_a_removal_does_not_wait_for_a_hold_to_be_lifted(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(await touched(region, write(2, entity("x", name="needle"))))
        await region.apply(write(3, version=2, body={"objects": [{"needle": 1}]}))
        removal = opening(4, 2, regions=["us-east"], cut=[("us-east", 1, "{[1,4)}")])
        await region.apply(removal)
        assert await region.ask("select count(*) from ig.change where body::text like '%needle%'") == 0
        assert await region.ask("select count(*) from ig.entity") == 0
        assert (await region.entity("x"))["status"] == "not_here"

    alone(story)


def test_a_dangling_relationship_that_arrives_is_applied_as_it_is(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(write(2, relation("r", "a", "b")))
        assert await region.status(write(2)) == "applied"

    alone(story)
