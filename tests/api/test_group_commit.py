"""Writes that share a transaction get what they would get alone: their own answers, errors, and no one else's wait."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import re
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest

from intelgraph.api.database.database import Database
from intelgraph.api.write.group_commit import TOGETHER_OPERATIONS_MAX, Append, GroupCommit
from intelgraph.api.write.operations import check_operations, in_changes
from intelgraph.model.errors import IntelGraphError
from intelgraph.settings import ApiPolicy

from .site import US, Site, entity, relationship
from .test_graphql import post

pytestmark = pytest.mark.postgres
UPSERT = (
    "mutation ($entities: [EntityInput!]!) { upsertEntities(entities: $entities) { bookmark objects { id revision } } }"
)


def request(*operations: dict[str, Any], tenant: str = "acme", key: str | None = None, **fields: Any) -> Append:
    asked = Append(
        placement="both", epoch=1, tenant=tenant, key=key or str(uuid.uuid4()), placed=False,
        request_hash=hashlib.sha256(json.dumps(operations).encode()).digest(),
        operations=check_operations(list(operations), in_changes, operations_max=1_000),
    )  # fmt: skip
    return dataclasses.replace(asked, **fields)


def with_appends(site: Site, story: Callable[[GroupCommit, list[int]], Awaitable[None]], group_max: int = 32) -> None:
    async def run() -> None:
        database = Database(site.us.config.database, ApiPolicy())
        await database.start()
        groups: list[int] = []
        try:
            await story(GroupCommit(database, group_max=group_max, waiting_max=100, on_group=groups.append), groups)
        finally:
            await database.stop()

    asyncio.run(run())


def told(answer: Any) -> Any:
    assert isinstance(answer, tuple), answer
    return json.loads(answer[0])


def test_each_of_many_gets_its_own_answer_in_few_transactions(site: Site) -> None:
    async def story(group_commit: GroupCommit, groups: list[int]) -> None:
        asked = [request(entity(f"g-{uuid.uuid4()}"), tenant=("acme", "globex")[n % 2]) for n in range(60)]
        asked.append(dataclasses.replace(asked[0]))  # the same key and body again
        answers = [told(answer) for answer in await asyncio.gather(*(group_commit.append(each) for each in asked))]
        for each, answer in zip(asked[:60], answers[:60], strict=True):
            (written,) = json.loads(each.operations.body)
            assert [made["id"] for made in answer["objects"]] == [written["entity"]["id"]]
        assert len({answer["bookmark"] for answer in answers}) == 60
        assert {answers[0]["status"], answers[60]["status"]} == {"ok", "repeated"}
        assert sum(groups) >= 58
        assert len(groups) <= 6
        again = await asyncio.gather(*(group_commit.append(each) for each in asked[:60]))
        assert [told(answer)["bookmark"] for answer in again] == [answer["bookmark"] for answer in answers[:60]]

    with_appends(site, story)


def test_one_is_refused_and_one_fails_and_the_others_are_written(site: Site) -> None:
    there = entity()
    site.client(US).write(there)

    async def story(group_commit: GroupCommit, groups: list[int]) -> None:
        asked = [request(entity(name=f"n{n}")) for n in range(20)]
        asked[3] = request({**there, "if_revision": 7})
        # Nothing that a request can say makes PostgreSQL fail here; so one says what no request can.
        body = json.dumps([entity(valid_from="no time")]).encode()
        asked[5] = dataclasses.replace(asked[5], operations=msgspec_replace(asked[5].operations, body=body))
        answers = await asyncio.gather(*(group_commit.append(each) for each in asked), return_exceptions=True)
        for number, answer in enumerate(answers):
            if number == 5:
                assert isinstance(answer, IntelGraphError)
                assert answer.denied.code == "bad_request"
            else:
                assert told(answer).get("code", "ok") == ("revision_mismatch" if number == 3 else "ok")

    with_appends(site, story)


def msgspec_replace(value: Any, **fields: Any) -> Any:
    return type(value)(**{name: getattr(value, name) for name in value.__struct_fields__} | fields)


def test_who_must_wait_for_an_object_keeps_nobody_waiting(site: Site) -> None:
    held = entity()

    async def story(group_commit: GroupCommit, _groups: list[int]) -> None:
        other = await asyncpg.connect(**_admin(site))
        try:
            transaction = other.transaction()
            await transaction.start()
            await other.execute("select pg_advisory_xact_lock(ig.touch('globex', 'entity', $1))", held["entity"]["id"])
            waits = [asyncio.create_task(group_commit.append(request(held, tenant="globex"))) for _ in range(3)]
            for _ in range(3):  # whatever goes first or together
                others = await asyncio.gather(*(group_commit.append(request(entity())) for _ in range(8)))
                assert {told(answer)["status"] for answer in others} == {"ok"}
            assert not any(task.done() for task in waits)
            await transaction.rollback()
            answers = await asyncio.gather(*waits)
            assert sorted(told(answer)["objects"][0]["revision"] for answer in answers) == [1, 2, 3]
        finally:
            await other.close()

    with_appends(site, story)


def _admin(site: Site) -> dict[str, Any]:
    login = site.us.config.admin_database
    return {
        "host": login.host, "port": login.port, "user": login.user, "password": login.password,
        "database": login.database,
    }  # fmt: skip


def test_what_may_take_long_goes_alone(site: Site) -> None:
    gone, erased = entity(), entity()
    site.client(US).write(gone, erased)

    async def story(group_commit: GroupCommit, groups: list[int]) -> None:
        many = request(*(entity() for _ in range(TOGETHER_OPERATIONS_MAX + 1)))
        deletion = request({"op": "delete_entity", "id": gone["entity"]["id"]})
        erasure = request({"op": "erase", "ids": [erased["entity"]["id"]]})
        answers = await asyncio.gather(*(group_commit.append(each) for each in (many, deletion, erasure)))
        assert {told(answer)["status"] for answer in answers} == {"ok"}
        assert groups == []

    with_appends(site, story)


def test_none_are_put_together_where_that_is_off(site: Site) -> None:
    async def story(group_commit: GroupCommit, groups: list[int]) -> None:
        answers = await asyncio.gather(*(group_commit.append(request(entity())) for _ in range(20)))
        assert {told(answer)["status"] for answer in answers} == {"ok"}
        assert groups == []

    with_appends(site, story, group_max=1)


def test_every_one_of_a_group_learns_what_the_standby_must_reach(site: Site) -> None:
    async def story(group_commit: GroupCommit, groups: list[int]) -> None:
        asked = [request(entity(), tenant="initech", placement="sure", placed=True) for _ in range(20)]
        answers = await asyncio.gather(*(group_commit.append(each) for each in asked))
        assert {told(answer)["status"] for answer in answers} == {"ok"}
        assert all(re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", flushed) for _, flushed in answers)
        assert groups

    with_appends(site, story)


def test_who_goes_away_takes_nobody_along(site: Site) -> None:
    async def story(group_commit: GroupCommit, _groups: list[int]) -> None:
        tasks = [asyncio.create_task(group_commit.append(request(entity()))) for _ in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
        assert {told(answer)["status"] for answer in answers[1::2]} == {"ok"}
        assert told(await group_commit.append(request(entity())))["status"] == "ok"

    with_appends(site, story)


def test_too_many_that_wait_are_refused_and_the_rest_is_written(site: Site) -> None:
    async def story(group_commit: GroupCommit, _groups: list[int]) -> None:
        answers = await asyncio.gather(
            *(group_commit.append(request(entity())) for _ in range(140)), return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, IntelGraphError)]
        assert {error.denied.code for error in refused} == {"overloaded"}
        assert len(refused) == 40

    with_appends(site, story)


@pytest.mark.parametrize("tenant", ["acme", "initech"], ids=["home", "remote"])
def test_many_clients_at_once_each_hear_of_their_own_write(site: Site, tenant: str) -> None:
    hub = entity()
    site.client(US, tenant=tenant).write(hub)

    def write(number: int) -> bool:
        client, id_ = site.client(US, tenant=tenant), f"m-{uuid.uuid4()}"
        if number % 3 == 0:
            answer = client.write(entity(id_), relationship(id_, hub["entity"]["id"], f"r-{id_}"))
            return answer.status_code == 200 and [made["id"] for made in answer.json()["objects"]] == [id_, f"r-{id_}"]
        variables = {"entities": [{"id": id_, "type": "tool", "name": f"n{number}"}]}
        answer = post(client, UPSERT, variables, headers={"Idempotency-Key": id_})
        made = answer.json()["data"]["upsertEntities"]
        found = client.entity(id_, made["bookmark"]).json()
        return bool(made["objects"] == [{"id": id_, "revision": 1}] and found["name"] == f"n{number}")

    before = _grouped(site)
    with ThreadPoolExecutor(24) as threads:
        assert all(threads.map(write, range(240)))
    assert _grouped(site) > before, "nothing was put together: this shows nothing"


def _grouped(site: Site) -> float:
    found = re.search(r"^ig_appends_grouped_total (\S+)", site.us.metrics(), re.MULTILINE)
    return float(found[1]) if found else 0.0
