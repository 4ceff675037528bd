"""Settled means settled: no position at or below it commits later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.replication.lone import Lone, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


def test_a_position_whose_transaction_is_open_is_never_settled(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        first, second = await region.connect(), await region.connect()
        open_first, open_second = first.transaction(), second.transaction()
        await open_first.start()
        one = await region.append(1, upsert("a"), on=first)
        await open_second.start()
        other = await region.append(1, upsert("b"), on=second)
        positions = [int(told["bookmark"].split("/")[3]) for told in (one, other)]
        for _ in range(4):
            assert await region.ask("select ig.settle()") < positions[0]
        await open_first.commit()
        for _ in range(4):
            assert await region.ask("select ig.settle()") < positions[1]
        await open_second.commit()
        for _ in range(3):
            settled = await region.ask("select ig.settle()")
        assert settled >= positions[1]

    alone(story)


def test_settling_in_a_transaction_that_wrote_before_settles_nothing_too_early(alone: Tell) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        for _ in range(3):
            await region.ask("select ig.settle()")
        settler, writer = await region.connect(), await region.connect()
        settling, writing = settler.transaction(), writer.transaction()
        await settling.start()
        await settler.execute("select pg_current_xact_id()")
        await writing.start()
        told = await region.append(1, upsert("a"), on=writer)
        await settler.execute("select ig.settle()")
        await settling.commit()
        for _ in range(3):
            assert await region.ask("select ig.settle()") < int(told["bookmark"].split("/")[3])
        await writing.commit()

    alone(story)
