"""One step of a large removal, in the first epoch and in a later one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .lone import Lone, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


def relate(name: str, source: str, target: str) -> dict[str, Any]:
    wanted = {"id": name, "type": "uses", "source": source, "target": target}
    return {"op": "upsert_relationship", "relationship": wanted}


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_step_that_finds_nothing_to_delete_writes_no_row(alone: Tell, epoch: int) -> None:
    async def story(region: Lone) -> None:
        for each in range(1, epoch + 1):
            assert (await region.open(each))["status"] == "ok"
        assert (await region.append(epoch, upsert("a")))["status"] == "ok"
        rows = "select count(*) from ig.change"
        before = await region.ask(rows)
        removal = [{"op": "delete_entity", "id": "a"}]
        told = await region.ask("select ig.unlink('p', $1, 't', 'key', $2)", epoch, removal)
        assert told == {"status": "ok", "deleted": 0, "more": False}
        assert await region.ask(rows) == before

    alone(story)


def test_a_step_counts_what_lived_and_ranks_with_its_epoch(alone: Tell) -> None:
    """What was deleted before is not deleted again; a step of epoch 2 is above everything of epoch 1."""

    async def story(region: Lone) -> None:
        assert (await region.open(1))["status"] == "ok"
        made = (upsert("a"), upsert("b"), relate("r", "a", "b"), relate("s", "a", "b"))
        assert (await region.append(1, *made))["status"] == "ok"
        assert (await region.append(1, {"op": "delete_relationship", "id": "s"}))["status"] == "ok"
        assert (await region.open(2))["status"] == "ok"
        step = "select ig.delete_relationships(p, 't', array['r', 's']) from ig.placement p where p.id = 'p'"
        assert await region.ask(step) == 1
        body = await region.ask("select body from ig.change where kind = 'write' order by position desc limit 1")
        assert [each["id"] for each in body["objects"]] == ["r"]
        assert body["objects"][0]["revision"] > 2**32, "a revision begins anew with each epoch"

    alone(story)


def test_a_removal_whose_row_lies_beyond_the_cut_is_repeated_in_steps(alone: Tell) -> None:
    """The lost home had it, and here it does not count: the client that repeats it asks for all of it anew."""

    async def story(region: Lone) -> None:
        assert (await region.open(1))["status"] == "ok"
        assert (await region.append(1, upsert("a"), upsert("b")))["status"] == "ok"
        most = await region.ask("select ig.removed_together()")
        names = [f"r{number}" for number in range(most + 1)]
        for first in range(0, len(names), 500):
            relations = [relate(name, "a", "b") for name in names[first : first + 500]]
            assert (await region.append(1, *relations))["status"] == "ok"
        removal = {"op": "delete_entity", "id": "a"}
        await region.main.execute(
            "insert into ig.outcome (tenant, key_hash, origin, life, position, placement, epoch, request_hash)"
            " values ('t', sha256('K'), 'us-east', 1, 9, 'p', 1, 'x')"
        )
        refused = await region.append(1, removal, key="K")
        assert (refused["code"], refused["facts"]["in_steps"]) == ("too_many_relationships", True)
        step = await region.ask("select ig.unlink('p', 1, 't', 'K', $1)", [removal])
        assert (step["deleted"], step["more"]) == (most, True)

    alone(story)
