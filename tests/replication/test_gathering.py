"""A new home asks the survivors for what it lacks, for as long as its plan allows and no longer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from intelgraph.control.agent.controller.gathering import Wanted, gather, survivor_in
from tests.machine import WAIT_S, stretched
from tests.replication.lone import HERE, Lone, opening, write

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]
ENDLESS = """
create or replace function ig.reissue(p_placement text, p_destination text, p_origin text, p_life int, p_from bigint,
                                      p_limit int default 200) returns jsonb language sql as $$
    select jsonb_build_object('next', p_from + 1) from pg_sleep(0.01)
$$
"""


class New:
    """The new home's own database, which holds nothing yet."""

    async def ask(self, statement: str, *arguments: object) -> Any:
        return "[]"


def test_a_survivor_that_has_more_than_it_can_send_in_time_is_passed_over(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.apply(opening(1))
        await region.apply(write(2))
        await region.settle("us-east", 2)
        await region.main.execute(ENDLESS)
        survivor = msgspec.structs.replace(region.server.login(), database=region.database)
        wanted = Wanted(here="eu-central", placement="p", beyond={HERE: {"us-east/1": 0}}, within_s=0.5)
        began_s = time.monotonic()
        async with asyncio.timeout(WAIT_S):
            reached = await gather(New(), {HERE: survivor_in(survivor)}, wanted)
        assert reached == {}
        assert 0.5 <= time.monotonic() - began_s < stretched(3.0, began_s)

    alone(story)
