"""One step of a large removal, in the first epoch and in a later one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .lone import Lone, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


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
