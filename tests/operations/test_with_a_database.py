"""Operations in a region's real database: what is returned, what is refused, and who is recorded to have asked.

Both regions of these sites are one database, which is us-east: what they hold is equal, and nothing replicates.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.scratch import start_scratch
from intelgraph.changelog.install import install_schema
from intelgraph.connection import connect
from intelgraph.control.directory.plans import read_plan
from intelgraph.model.errors import IntelGraphError
from intelgraph.model.placement import Tenant
from intelgraph.operations.compaction import compact
from intelgraph.operations.database import ask_owner, login_refusal
from intelgraph.operations.operator import Operator, Step
from intelgraph.operations.outcomes import read_outcomes
from intelgraph.operations.placements import (
    Arrangement,
    Wish,
    create_placement,
    declare_placement,
    rearrange_placement,
    remove_region,
)
from intelgraph.operations.record import read_record
from intelgraph.operations.salvage import Decision, decide_waiting, list_waiting, reject_all, show_waiting
from intelgraph.operations.tenants import create_tenant
from intelgraph.operations.verification import is_whole, verify
from intelgraph.settings import Database

from .sites import BOTH, EU, PERSON, US, agents_of, operator_of, placement_now, site_of

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def login() -> Iterator[Database]:
    """The owner's login."""
    with start_scratch(name="operations") as server:

        async def install() -> None:
            connection = await connect(server.login())
            await install_schema(connection, region=US, peers=[EU])
            await connection.close()

        asyncio.run(install())
        yield server.login()


def at_work(tmp_path: Path, login: Database, steps: list[Step] | None = None) -> Operator:
    return operator_of(site_of(tmp_path, {US: login, EU: login}), steps)


def recorded(tmp_path: Path) -> list[str]:
    """The operations that were recorded, each with its actor."""
    lines = read_record(tmp_path)
    assert all(each.actor == PERSON for each in lines)
    return [each.operation for each in lines]


def test_a_placement_is_created_declared_and_arranged_anew(tmp_path: Path, login: Database) -> None:
    operator = at_work(tmp_path, login)
    alone = replace(BOTH, id="alone", regions=(US,), standby=None)

    async def body() -> None:
        made, again = await create_placement(operator, alone), await create_placement(operator, alone)
        assert (made.opened.repeated, again.opened.repeated) == (False, True)
        assert made.opened.bookmark == again.opened.bookmark
        declared = await declare_placement(operator, "alone", Wish(rpo_s_max=7.0))
        assert (declared.record.placement.epoch, declared.record.placement.wanted.rpo_s_max) == (2, 7.0)
        more = await rearrange_placement(operator, "alone", Arrangement(home=US, standby=EU, regions=(US, EU)))
        assert (more.record.placement.epoch, more.record.placement.standby) == (3, EU)
        with pytest.raises(IntelGraphError) as fewer:
            await rearrange_placement(operator, "alone", Arrangement(home=US, regions=(US,)))
        assert fewer.value.denied.code == "use_remove_region"

    asyncio.run(body())
    assert recorded(tmp_path) == ["placement create"] * 2 + ["placement declare", "placement open"]


def test_where_agents_run_a_change_is_a_plan_that_says_who_asked(tmp_path: Path, login: Database) -> None:
    steps = list[Step]()
    operator = at_work(tmp_path, login, steps)
    planned = replace(BOTH, id="planned")

    async def body() -> None:
        await create_placement(operator, planned)
        async with agents_of(operator.site) as store:
            changed = await declare_placement(operator, "planned", Wish(rpo_s_max=9.0))
            assert changed.record.placement.epoch == 2
            times = (await read_plan(store, "planned")).times
            assert times is not None and times.actor == PERSON
            with pytest.raises(IntelGraphError) as by_hand:
                await rearrange_placement(operator, "planned", Arrangement(home=EU))
            assert by_hand.value.denied.code == "use_switchover"

    asyncio.run(body())
    assert steps[-1].text == "done: us-east writes in epoch 2"


def test_a_removal_that_is_not_complete_is_said_and_recorded(tmp_path: Path, login: Database) -> None:
    operator = at_work(tmp_path, login)

    async def body() -> None:
        await create_placement(operator, replace(BOTH, id="leaving", standby=None))
        with pytest.raises(IntelGraphError) as pending:
            await remove_region(operator, "leaving", EU, wait_s=0.1)
        assert pending.value.denied.code == "removal_pending"
        assert (await placement_now(operator.site, "leaving")).regions == (US,)

    asyncio.run(body())
    assert recorded(tmp_path)[-1] == "placement remove-region"


def test_what_is_equal_is_verified_and_nothing_old_is_compacted(tmp_path: Path, login: Database) -> None:
    operator = at_work(tmp_path, login)

    async def body() -> None:
        await create_placement(operator, replace(BOTH, id="same"))
        (found,) = await verify(operator, placement="same")
        assert (found.good, found.one, found.compared.peer) == (True, US, EU)
        assert await is_whole(operator, "same", (US, EU))
        assert await compact(operator, "same", dry_run=True) == []
        assert recorded(tmp_path) == ["placement create"]
        assert await compact(operator, "same") == []

    asyncio.run(body())
    assert recorded(tmp_path) == ["placement create", "compact"]


def test_nothing_waits_and_a_row_that_is_not_there_is_not_decided_about(tmp_path: Path, login: Database) -> None:
    operator = at_work(tmp_path, login)
    row = (US, 1, 987_654_321)

    async def body() -> None:
        await create_placement(operator, replace(BOTH, id="calm"))
        waiting = await list_waiting(operator, "calm")
        assert (waiting.rows, waiting.unasked) == ((), ())
        decision = Decision(placement="calm", rows=(row,), adopt=True)
        for work in (decide_waiting(operator, decision), show_waiting(operator, "calm", row)):
            with pytest.raises(IntelGraphError) as unknown:
                await work
            assert unknown.value.denied.code == "unknown_row"
        assert await reject_all(operator, "calm") == 0

    asyncio.run(body())
    assert recorded(tmp_path) == ["placement create", "salvage show"]


def test_a_key_that_was_never_used_is_unknown(tmp_path: Path, login: Database) -> None:
    operator = at_work(tmp_path, login)

    async def body() -> None:
        await create_placement(operator, replace(BOTH, id="keys"))
        await create_tenant(operator, Tenant(id="acme", placement="keys"))
        told = await read_outcomes(operator, "keys", "acme", ["never"])
        assert [each.outcome for each in told.values()] == ["unknown"]

    asyncio.run(body())


def test_what_a_driver_raises_is_told_as_a_refusal(tmp_path: Path, login: Database) -> None:
    async def body() -> None:
        assert await ask_owner(US, login, ("select 1",), ("select $1::int", 2)) == 2
        with pytest.raises(IntelGraphError) as failed:
            await ask_owner(US, login, ("select 1 / 0",))
        assert failed.value.denied.code == "database_failed"
        assert await login_refusal(login, timeout_s=5.0) is None
        nowhere = site_of(tmp_path).region(US).admin_database
        assert await login_refusal(nowhere, timeout_s=5.0) is not None
        with pytest.raises(IntelGraphError) as silent:
            await ask_owner(US, nowhere, ("select 1",))
        assert silent.value.denied.code == "database_unavailable"

    asyncio.run(body())
