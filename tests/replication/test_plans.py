"""How long an arrival takes does not grow with the log, whatever the tables held when its plan was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.replication.lone import Lone, entity, opening, touched, upsert, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]

GROWING = ("change", "entity", "relationship", "outcome", "snapshot", "erased")
FEW, MANY = 20, 300
TOGETHER = "select ig.append_many('p', 1, $1, $2, $3, array(select jsonb_array_elements($4)))"


@pytest.mark.parametrize("how", ["from another region", "written here", "written here with others"])
def test_a_plan_made_while_a_table_was_small_never_reads_it_whole(alone: Tell, how: str) -> None:
    at_home = how != "from another region"

    async def story(region: Lone) -> None:
        session = await (region.connect("ig_api") if at_home else region.stream())
        await (region.open(1) if at_home else region.apply(opening(1)))

        async def arrive(number: int) -> None:
            if how == "written here with others":
                ops = [[upsert(f"{part}{number}"), upsert(f"also-{part}{number}")] for part in "abc"]
                keys = [f"{part}{number}" for part in "abc"]
                answers = await session.fetchval(TOGETHER, ["t"] * 3, keys, [b"r"] * 3, ops)
                assert {answer["status"] for answer in answers} == {"ok"}
            elif at_home:
                assert (await region.append(1, upsert(f"e{number}"), on=session))["status"] == "ok"
            else:
                await region.apply(await touched(region, write(number, entity(f"e{number}"))), on=session)

        for number in range(2, FEW):
            await arrive(number)
        # Now the planner knows that the tables are small, and the session's plans are made anew, to be kept.
        await region.main.execute("analyze")
        for number in range(FEW, MANY):
            await arrive(number)
        await session.execute("select pg_stat_force_next_flush()")
        read_whole = await region.main.fetch(
            "select relname from pg_stat_user_tables where schemaname = 'ig' and relname = any ($1) and seq_scan > 0",
            list(GROWING),
        )
        assert read_whole == []

    alone(story)
