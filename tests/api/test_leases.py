"""The API and its region's lease, on real PostgreSQL and processes: what is held, refused, and never acknowledged.

Each test leaves the regions as it found them, except that placement ``both`` rises through epochs.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import asyncpg
import psutil
import pytest
import requests

from intelgraph.control.agent.controller.opening import open_epoch
from intelgraph.control.directory.placements import Directory
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.placement import Placement
from intelgraph.settings import ApiPolicy
from tests.machine import WAIT_S, stretched
from tests.next_epoch import moved
from tests.pausing import paused
from tests.spoiled import spoiled

from .site import EU, US, Client, Region, Site, entity, two_regions

LEASE_S = 5.0
HELD_S_MAX = 60.0
"""On a busy machine what a held write waits for, such as a new agent, takes longer than the 10 s of the product."""


@pytest.fixture(scope="module")
def leased(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    policy = ApiPolicy(remote_wait_s=1.0, request_timeout_s=HELD_S_MAX, hold_s_max=HELD_S_MAX)
    with two_regions(tmp_path_factory.mktemp("leased"), policy=policy, agents=True) as site:
        until(lambda: site.client(US).write(entity()).status_code == 200)
        until(lambda: limits(site.us) == limits(site.eu) == {})  # a standby is named once it has kept up for seconds
        yield site


def until(condition: Callable[[], bool], *, timeout_s: float = WAIT_S) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def tree(region: Region, part: str) -> list[int]:
    """The processes of a part, workers first."""
    root = psutil.Process(region.processes[part].pid)
    return [each.pid for each in (*root.children(recursive=True), root)]


@contextmanager
def without_agent(region: Region) -> Iterator[None]:
    """The region with its agent killed, and started anew at the end."""
    process = region.processes.pop("agent")
    process.kill()
    process.wait(WAIT_S)
    try:
        yield
    finally:
        region.start("agent")
        until(lambda: "lease" not in limits(region))


def limits(region: Region) -> dict[str, str]:
    told: dict[str, str] = requests.get(f"{region.url}/readyz", timeout=5).json()["limits"]
    return told


def in_background(client: Client, **headers: str) -> Future[requests.Response]:
    pool = ThreadPoolExecutor(1)
    answer = pool.submit(client.write, entity(), **headers)
    pool.shutdown(wait=False)
    return answer


def mutate_in_background(client: Client) -> Future[requests.Response]:
    query = 'mutation { upsertEntities(entities: [{id: "mutated", type: "t", name: "n"}]) { bookmark } }'
    headers = {"idempotency-key": str(uuid.uuid4()), "accept": "application/json"}
    pool = ThreadPoolExecutor(1)
    answer = pool.submit(
        client.http.post, client.url + "/graphql", json={"query": query}, headers=headers, timeout=WAIT_S
    )
    pool.shutdown(wait=False)
    return answer


def metric(region: Region, name: str) -> float:
    text = region.metrics()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def change(site: Site, decide: Callable[[Placement], Placement]) -> None:
    """Raise the epoch in the control store and open it at its home, as a plan's last two actions do."""

    async def body() -> None:
        store = SqliteControlStore(site.control)
        try:
            directory = Directory(store)
            before = await directory.placement("both")
            record = await directory.update_placement(before, decide(before.placement))
            await open_epoch(record, site.regions[record.placement.home].config.admin_database)
        finally:
            await store.close()

    asyncio.run(body())


def epoch(site: Site) -> int:
    return int(site.us.sql("select epoch from ig.placement where id = 'both'"))


@contextmanager
def closed(site: Site, region: Region) -> Iterator[None]:
    """The placement closed at its home, whose agent is stopped meanwhile: it would open again what no plan closed."""
    with paused(*tree(region, "agent")):
        assert json.loads(region.sql("select ig.close('both', $1)", epoch(site)))["status"] == "ok"
        yield


def test_a_write_is_acknowledged_under_the_grant_and_the_grant_is_told(leased: Site) -> None:
    assert leased.client(US).write(entity()).json()["status"] == "ok"
    until(lambda: 3 < metric(leased.us, "ig_lease_remaining_seconds") <= LEASE_S)
    assert metric(leased.us, "ig_grants_total") >= 1
    assert limits(leased.us) == {}


def test_a_closed_placement_holds_writes_which_go_through_when_it_is_reopened(leased: Site) -> None:
    with closed(leased, leased.us):
        here, there = in_background(leased.client(US)), in_background(leased.client(EU))
        until(lambda: metric(leased.us, "ig_held_writes") == 1 and metric(leased.eu, "ig_held_writes") == 1)
        leased.us.sql("select ig.reopen('both', $1)", epoch(leased))
    for answer in (here, there):
        assert (answer.result(WAIT_S).status_code, answer.result().json()["status"]) == (200, "ok")
    until(lambda: metric(leased.us, "ig_held_writes") == 0)
    assert metric(leased.us, "ig_held_write_seconds_count") >= 1


def test_a_write_held_longer_than_its_client_waits_is_refused_with_a_time_to_come_back(leased: Site) -> None:
    with closed(leased, leased.us):
        began = time.monotonic()
        answer = leased.client(US).write(entity(), **{"ig-deadline-ms": "600"})
        assert 0.5 < time.monotonic() - began < stretched(4, began)
    assert (answer.status_code, answer.json()["code"]) == (503, "closing")
    assert answer.json()["retry_after_s"] > 0
    assert "retry-after" in answer.headers
    leased.us.sql("select ig.reopen('both', $1)", epoch(leased))


def test_a_held_write_whose_client_has_gone_is_never_written(leased: Site) -> None:
    gone, stays = entity(), entity()
    client = leased.client(US)
    headers = {"authorization": str(client.http.headers["authorization"]), "idempotency-key": str(uuid.uuid4())}
    with closed(leased, leased.us):
        with pytest.raises(requests.Timeout):
            requests.post(f"{leased.us.url}/v1/changes", json={"operations": [gone]}, headers=headers, timeout=0.5)
        until(lambda: metric(leased.us, "ig_held_writes") == 0)
        leased.us.sql("select ig.reopen('both', $1)", epoch(leased))
    assert client.write(stays).json()["status"] == "ok"
    statuses = [client.get(f"/v1/entities/{each['entity']['id']}").status_code for each in (gone, stays)]
    assert statuses == [404, 200]


@pytest.mark.parametrize("given", ["soon", "-1", "1.5", "9999999999"])
def test_a_deadline_that_is_no_number_is_refused(leased: Site, given: str) -> None:
    answer = leased.client(US).write(entity(), **{"ig-deadline-ms": given})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_writes_held_in_both_regions_follow_the_home_to_where_it_goes(leased: Site) -> None:
    """Closed at home, raised and opened elsewhere: the API there appends what it held, the old home's sends it on."""
    with closed(leased, leased.us):
        here, there = in_background(leased.client(US)), in_background(leased.client(EU))
        mutated = mutate_in_background(leased.client(EU))
        until(lambda: metric(leased.us, "ig_held_writes") == 1 and metric(leased.eu, "ig_held_writes") == 2)
        change(leased, lambda placement: moved(placement, EU))
    opened = time.monotonic()
    assert mutated.result(WAIT_S).json()["data"]["upsertEntities"]["bookmark"].startswith(f"{EU}/")
    for answer in (here, there):
        assert (answer.result(WAIT_S).status_code, answer.result().json()["status"]) == (200, "ok")
        assert answer.result().json()["bookmark"].startswith(f"{EU}/")
    assert time.monotonic() - opened < stretched(3, opened)
    change(leased, lambda placement: moved(placement, US))
    until(lambda: leased.client(US).write(entity()).json().get("bookmark", "").startswith(f"{US}/"))


def test_a_write_is_not_refused_for_certain_while_a_lost_home_may_have_written_it(leased: Site) -> None:
    """It got no answer from its home; the next home has another revision; a repeat is judged by that home alone."""
    known = entity()
    revision = leased.client(US).write(known).json()["objects"][0]["revision"]
    ahead = {**known, "if_revision": revision + 1}
    key = str(uuid.uuid4())
    with ThreadPoolExecutor(1) as pool, paused(*tree(leased.us, "api")):
        told = pool.submit(leased.client(EU).write, ahead, key=key)
        until(lambda: metric(leased.eu, "ig_held_writes") == 1)
        change(leased, lambda placement: moved(placement, EU))
        refused = told.result(WAIT_S)
    assert (refused.status_code, refused.json()["code"]) == (503, "maybe_written")
    assert refused.json()["facts"] == {"refused": "revision_mismatch", "unanswered": US}
    assert "retry-after" in refused.headers
    again = leased.client(EU).write(ahead, key=key)
    assert (again.status_code, again.json()["code"]) == (409, "revision_mismatch")
    change(leased, lambda placement: moved(placement, US))
    until(lambda: leased.client(US).write(entity()).json().get("bookmark", "").startswith(f"{US}/"))


@pytest.mark.prove
def test_a_home_whose_lease_is_over_says_how_old_its_answers_may_be(leased: Site) -> None:
    """Another may have taken over, and it would not know: a reader must not be told that this is the newest."""

    def told_ms() -> float:
        told = leased.client(US).get("/v1/entities").headers["ig-staleness-ms"]
        return float("inf") if told == "unknown" else float(told)

    until(lambda: told_ms() == 0)
    began = time.monotonic()
    with without_agent(leased.us):
        until(lambda: told_ms() > 0)
        assert time.monotonic() - began < stretched(LEASE_S + 0.5, began)
        time.sleep(1.0)
        least_ms, answered = (time.monotonic() - began - LEASE_S) * 1000, told_ms()
        assert least_ms <= answered < (time.monotonic() - began) * 1000
    until(lambda: told_ms() == 0)


def test_a_killed_agent_ends_acknowledging_within_the_lease_and_another_takes_over_at_once(leased: Site) -> None:
    until(lambda: leased.client(US).write(entity()).status_code == 200)
    with without_agent(leased.us):
        began = time.monotonic()
        statuses = set()
        while (503, "lease_over") not in statuses or time.monotonic() - began < LEASE_S + 0.5:
            asked = time.monotonic() - began
            answer = leased.client(US).write(entity(), **{"ig-deadline-ms": "100"})
            statuses.add((answer.status_code, answer.json().get("code")))
            assert answer.status_code != 200 or asked < LEASE_S
        assert (200, None) in statuses
        assert leased.client(US).get("/v1/entities").status_code == 200
        assert "lease" in limits(leased.us)
        held = in_background(leased.client(US))
        until(lambda: metric(leased.us, "ig_held_writes") == 1)
    assert held.result(WAIT_S).status_code == 200


@pytest.mark.prove
def test_when_the_control_store_is_lost_serving_goes_on_while_the_lease_lasts_and_then_reads_do(leased: Site) -> None:
    """And when it is back everything recovers alone."""
    with spoiled(leased.control):
        began, statuses = time.monotonic(), set()
        while (503, "lease_over") not in statuses or time.monotonic() - began < LEASE_S + 0.5:
            asked = time.monotonic() - began
            answer = leased.client(US).write(entity(), **{"ig-deadline-ms": "100"})
            statuses.add((answer.status_code, answer.json().get("code")))
            assert answer.status_code != 200 or asked < LEASE_S
            assert leased.client(US).get("/v1/entities?limit=1").status_code == 200
        assert (200, None) in statuses
        refused = leased.client(US).write(entity(), **{"ig-deadline-ms": "100"}).json()
        assert "control store" in refused["reason"]
        assert refused["retry_after_s"] > 0
        read = leased.client(US).get("/v1/entities?limit=1")
        assert int(read.headers["ig-directory-age-ms"]) > 4_000
        ready = requests.get(f"{leased.us.url}/readyz", timeout=5)
        # The agent may have told its finding already: that it cannot reach the control store.
        assert (ready.status_code, set(ready.json()["limits"]) - {"findings"}) == (200, {"directory", "lease"})
    until(lambda: leased.client(US).write(entity()).status_code == 200)
    until(lambda: limits(leased.us) == {})


@pytest.mark.prove
def test_a_write_whose_grant_ends_between_commit_and_answer_is_unknown_and_ok_when_repeated(leased: Site) -> None:
    """The row is locked in the database until the lease is over; then it commits, and is not called certain."""
    client, key, operation = leased.client(US), str(uuid.uuid4()), entity()
    agent = leased.us.processes["agent"].pid
    waiting = ThreadPoolExecutor(1)
    with paused(agent), locked_placement(leased.us) as release:
        answer = waiting.submit(client.write, operation, key=key)
        until(lambda: "lease" in limits(leased.us))
        release()
        told = answer.result(WAIT_S)
        assert (told.status_code, told.json()["status"]) == (202, "unknown")
        assert told.headers["ig-bookmark"] == told.json()["bookmark"]
    until(lambda: client.write(operation, key=key).json().get("status") == "repeated")
    assert client.write(operation, key=key).json()["bookmark"] == told.json()["bookmark"]


def test_an_api_that_was_stopped_over_the_end_of_its_lease_acknowledges_nothing_of_what_it_held(leased: Site) -> None:
    """The writes are committed while the API is stopped; its clock tells it that the grant is over."""
    client = leased.client(US)
    with paused(leased.us.processes["agent"].pid):
        pool = ThreadPoolExecutor(8)
        with locked_placement(leased.us) as release:
            answers = [pool.submit(client.write, entity(), **{"ig-deadline-ms": "8000"}) for _ in range(8)]
            until(lambda: int(leased.us.sql(WAITING_FOR_LOCKS)) > 0)
            with paused(*tree(leased.us, "api")):
                release()
                until(lambda: int(leased.us.sql(WAITING_FOR_LOCKS)) == 0)
                time.sleep(LEASE_S)
        done = [answer.result(WAIT_S) for answer in answers]
    assert {answer.status_code for answer in done} <= {202, 503}
    assert any(answer.json().get("status") == "unknown" for answer in done)
    until(lambda: client.write(entity()).status_code == 200)


@pytest.mark.prove
def test_beyond_the_limit_a_write_is_refused_at_once(leased: Site) -> None:
    path = leased.us.config_path
    before = path.read_bytes()
    settings = json.loads(before)
    path.write_text(json.dumps({**settings, "api": {**settings["api"], "held_max": 3}}))
    try:
        leased.us.stop("api")
        leased.us.start("api")
        leased.us.wait_ready()
        until(lambda: leased.client(US).write(entity()).status_code == 200)
        with closed(leased, leased.us):
            held = [in_background(leased.client(US)) for _ in range(3)]
            until(lambda: metric(leased.us, "ig_held_writes") == 3)
            began = time.monotonic()
            answer = leased.client(US).write(entity())
            assert (answer.status_code, answer.json()["code"]) == (503, "held_full")
            assert answer.json()["retry_after_s"] >= 1
            assert time.monotonic() - began < stretched(4, began)
            leased.us.sql("select ig.reopen('both', $1)", epoch(leased))
        assert [each.result(WAIT_S).status_code for each in held] == [200] * 3
    finally:
        path.write_bytes(before)
        leased.us.stop("api")
        leased.us.start("api")
        leased.us.wait_ready()


def test_the_home_s_lease_decides_and_not_what_its_directory_says(leased: Site) -> None:
    """The control store says another epoch; the API that does not know yet appends nothing in the old one."""
    with paused(*tree(leased.us, "api")):
        change(leased, lambda placement: replace(placement, epoch=placement.epoch + 1))
        now = epoch(leased)
    answer = leased.client(US).write(entity())
    assert answer.status_code == 200
    assert answer.json()["bookmark"].split("/")[2] == str(now)


WAITING_FOR_LOCKS = "select count(*) from pg_locks where locktype = 'advisory' and not granted and classid = 1"


@contextmanager
def locked_placement(region: Region) -> Iterator[Callable[[], None]]:
    """Hold the lock of placement ``both`` as an open would: appends wait. Yields what lets go of it."""
    let_go, locked = threading.Event(), threading.Event()

    def hold() -> None:
        async def body() -> None:
            connection = await asyncpg.connect(**region.postgres.connect_arguments())
            try:
                async with connection.transaction():
                    await connection.execute("select ig.lock_placement('both')")
                    locked.set()
                    await asyncio.to_thread(let_go.wait)
            finally:
                await connection.close()

        asyncio.run(body())

    thread = threading.Thread(target=hold)
    thread.start()

    def release() -> None:
        let_go.set()
        thread.join()

    assert locked.wait(WAIT_S)
    try:
        yield release
    finally:
        release()
