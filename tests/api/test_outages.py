"""What breaks behind the API makes requests slower or refuses them with a type; it never fails them otherwise."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from intelgraph.connection import connect
from intelgraph.settings import ApiPolicy
from tests.machine import WAIT_S, stretched
from tests.pausing import paused
from tests.spoiled import spoiled

from .site import EU, US, Site, entity, two_regions

pytestmark = pytest.mark.postgres
BACK_S = 3.0


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    policy = ApiPolicy(remote_wait_s=1.0, body_timeout_s=1.0, hold_s_max=WAIT_S)
    with two_regions(tmp_path_factory.mktemp("outages"), policy=policy) as site:
        yield site


def until(condition: Callable[[], bool]) -> float:
    """Wait until something holds; returns how long that took."""
    began = time.monotonic()
    while time.monotonic() - began < WAIT_S:
        if condition():
            return time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError(f"{condition} did not hold within {WAIT_S} s")


class SteadyWriter(threading.Thread):
    """Writes one keyed entity after another, repeating each until it is acknowledged."""

    def __init__(self, site: Site, region: str) -> None:
        super().__init__()
        self.client = site.client(region)
        self.ending = threading.Event()
        self.acknowledged: list[str] = []
        self.statuses: dict[int, int] = {}
        self.gap_s_max = 0.0
        self.began = time.monotonic()

    def run(self) -> None:
        last = time.monotonic()
        while not self.ending.is_set():
            entity_id, key = f"steady-{uuid.uuid4()}", str(uuid.uuid4())
            while not self.ending.is_set():
                status = self._try(entity_id, key)
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if status == 200:
                    self.acknowledged.append(entity_id)
                    self.gap_s_max = max(self.gap_s_max, time.monotonic() - last)
                    last = time.monotonic()
                    break
                time.sleep(0.02)

    def _try(self, entity_id: str, key: str) -> int:
        try:
            headers = {"ig-deadline-ms": str(int(WAIT_S * 1000))}
            return self.client.write(entity(entity_id), key=key, **headers).status_code
        except requests.RequestException:
            return 0

    def __enter__(self) -> SteadyWriter:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.join()


def counted_once(site: Site, region: str, ids: list[str]) -> bool:
    """Every id is there, and each was written by one row."""
    rows = site.regions[region].sql(
        "select count(*) from ig.change c, jsonb_array_elements(c.body -> 'objects') o "
        "where c.kind = 'write' and c.status = 'applied' and o ->> 'id' = any ($1)",
        ids,
    )
    return bool(rows == len(ids))


def test_postgres_killed_under_load_is_a_pause_without_a_failed_request(broken: Site) -> None:
    with SteadyWriter(broken, US) as writer:
        until(lambda: len(writer.acknowledged) > 20)
        broken.us.postgres.kill()
        broken.us.postgres.start()
        count = len(writer.acknowledged)
        until(lambda: len(writer.acknowledged) > count + 20)
    assert set(writer.statuses) == {200}, writer.statuses
    assert writer.gap_s_max <= stretched(BACK_S, writer.began)
    assert counted_once(broken, US, writer.acknowledged)
    until(lambda: counted_once(broken, EU, writer.acknowledged))


@pytest.mark.prove
def test_a_longer_outage_of_postgres_is_refused_with_a_type_and_told_by_readyz(broken: Site) -> None:
    broken.us.postgres.stop()
    try:
        began = time.monotonic()
        answer = broken.client(US).write(entity(), **{"ig-deadline-ms": "4000"})
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert "retry-after" in answer.headers
        assert time.monotonic() - began < stretched(6, began)
        ready = requests.get(f"{broken.us.url}/readyz", timeout=5)
        assert ready.status_code == 503
        assert "database" in ready.json()["checks"]["database"]
        assert requests.get(f"{broken.us.url}/healthz", timeout=5).status_code == 200
    finally:
        broken.us.postgres.start()
    began = time.monotonic()
    assert until(lambda: broken.client(US).write(entity()).status_code == 200) <= stretched(BACK_S, began)
    broken.us.wait_ready()


def test_a_worker_that_is_killed_is_replaced(broken: Site) -> None:
    with SteadyWriter(broken, US) as writer:
        until(lambda: len(writer.acknowledged) > 20)
        [worker] = broken.us.workers()
        worker.kill()
        count = len(writer.acknowledged)
        until(lambda: len(writer.acknowledged) > count + 20)
    assert writer.gap_s_max <= stretched(BACK_S, writer.began)
    assert counted_once(broken, US, writer.acknowledged)


@pytest.mark.prove
def test_the_server_process_that_is_killed_leaves_no_worker_behind_and_its_port_is_free(broken: Site) -> None:
    server = broken.us.processes["api"]
    workers = psutil.Process(server.pid).children()
    os.kill(server.pid, signal.SIGKILL)
    server.wait(WAIT_S)
    broken.us.start("api")
    until(lambda: not any(worker.is_running() for worker in workers))
    broken.us.wait_ready()
    assert broken.client(US).write(entity()).status_code == 200


@pytest.mark.prove
def test_a_home_that_cannot_be_reached_is_refused_with_a_type_in_bounded_time(broken: Site) -> None:
    broken.us.stop("api")
    try:
        began = time.monotonic()
        answer = broken.client(EU).write(entity(), **{"ig-deadline-ms": "2000"})
        assert (answer.status_code, answer.json()["code"]) == (503, "home_unreachable")
        assert answer.json()["facts"] == {"home": US, "sent": False}
        assert 2 <= time.monotonic() - began < stretched(4, began)
        assert broken.client(EU).get("/v1/entities").status_code == 200
    finally:
        broken.us.start("api")
        broken.us.wait_ready()


def test_a_remote_write_that_its_standby_does_not_confirm_is_unknown_and_ok_when_repeated(broken: Site) -> None:
    client, key, operation = broken.client(US, tenant="initech"), str(uuid.uuid4()), entity()
    assert client.write(entity()).json()["status"] == "ok"
    broken.eu.postgres.stop()
    try:
        answer = client.write(operation, key=key)
        assert (answer.status_code, answer.json()["status"]) == (202, "unknown")
        again = client.write(operation, key=key)
        assert (again.status_code, again.json()["status"]) == (202, "unknown")
        assert again.json()["bookmark"] == answer.json()["bookmark"]
        asked = time.monotonic()
        hasty = client.write(operation, key=key, **{"ig-deadline-ms": "200"})
        assert (hasty.status_code, hasty.json()["status"]) == (202, "unknown")
        assert hasty.elapsed.total_seconds() < stretched(0.5, asked), "it is answered when its own time is over"
    finally:
        broken.eu.postgres.start()
    until(lambda: client.write(operation, key=key).json()["status"] == "repeated")


def test_a_write_that_has_hopped_is_not_passed_on(broken: Site) -> None:
    answer = broken.client(EU).write(entity(), **{"ig-forwarded": "1"})
    assert (answer.status_code, answer.json()["code"]) == (503, "fenced")


@pytest.mark.parametrize("told", ["eu-west", "not a region"])
def test_a_hop_that_tells_of_an_unanswered_attempt_is_not_refused_for_certain(broken: Site, told: str) -> None:
    client = broken.client(US)
    stale = {**entity(), "if_revision": 7}
    graphql = {
        "query": "mutation($e: [EntityInput!]!) { upsertEntities(entities: $e) { status } }",
        "variables": {"e": [{**stale["entity"], "ifRevision": 7}]},
    }

    def ask(path: str, body: object, **headers: str) -> tuple[int, str]:
        sent = {"content-type": "application/json", "idempotency-key": str(uuid.uuid4()), **headers}
        answer = client.http.post(f"{client.url}{path}", data=json.dumps(body), headers=sent, timeout=20)
        said = answer.json()
        return answer.status_code, said.get("code") or said["errors"][0]["extensions"]["code"]

    for path, body, certain in (
        ("/v1/changes", {"operations": [stale]}, (409, "revision_mismatch")),
        ("/graphql", graphql, (200, "revision_mismatch")),
    ):
        assert ask(path, body, **{"ig-forwarded": "1"}) == certain
        assert ask(path, body, **{"ig-unanswered": told}) == certain, "only a hop may tell so"
        assert ask(path, body, **{"ig-forwarded": "1", "ig-unanswered": told}) == (503, "maybe_written")


def test_a_write_in_an_old_epoch_is_refused_and_a_bookmark_of_the_cut_off_tail_is_superseded(broken: Site) -> None:
    with sqlite3.connect(broken.control) as store:
        (value,) = store.execute("select value from entry where key = 'placements/both'").fetchone()
    key = bytes.fromhex(json.loads(value)["digest_key"])
    opened = broken.us.sql(
        "select ig.open('both', 2, 'us-east', array['us-east', 'eu-west'], 'eu-west', 'home', $1)", key
    )
    assert json.loads(opened)["status"] == "ok"
    answer = broken.client(US).write(entity(), **{"ig-deadline-ms": "500"})
    assert (answer.status_code, answer.json()["code"]) == (503, "fenced")
    assert (answer.json()["facts"]["asked"], answer.json()["facts"]["epoch"]) == (1, 2)
    with sqlite3.connect(broken.control) as store:
        store.execute("update store set revision = revision + 1")
        store.execute(
            "update entry set value = ?, revision = (select revision from store) where key = 'placements/both'",
            (json.dumps({**json.loads(value), "epoch": 2}).encode(),),
        )
    until(lambda: broken.client(US).write(entity()).status_code == 200)
    gone = broken.client(US).entity("e", "us-east/1/1/999999999")
    assert (gone.status_code, gone.json()["code"]) == (409, "superseded")


def test_while_the_directory_cannot_be_read_reads_go_on_and_say_so_and_unleased_writes_do_not(broken: Site) -> None:
    assert broken.client(US).get("/v1/entities").status_code == 200
    with spoiled(broken.control):
        until(lambda: "ig-directory-age-ms" in broken.client(US).get("/v1/entities").headers)
        answer = broken.client(US).get("/v1/entities")
        assert answer.status_code == 200
        assert int(answer.headers["ig-directory-age-ms"]) >= 2000
        until(lambda: requests.get(f"{broken.us.url}/readyz", timeout=5).status_code == 200)
        assert "silent" in requests.get(f"{broken.us.url}/readyz", timeout=5).json()["limits"]["directory"]
        written = broken.client(US).write(entity(), **{"ig-deadline-ms": "300"})
        assert (written.status_code, written.json()["code"]) == (503, "directory_unreadable")
        unknown = broken.client(US, tenant="nobody").get("/v1/entities")
        assert (unknown.status_code, unknown.json()["code"]) == (503, "directory_unreadable")


def test_a_schema_that_is_missing_is_told_by_readyz(broken: Site) -> None:
    broken.eu.sql("revoke execute on function ig.append(text, bigint, text, text, bytea, jsonb) from ig_api")
    until(lambda: requests.get(f"{broken.eu.url}/readyz", timeout=5).status_code == 503)
    assert "schema" in requests.get(f"{broken.eu.url}/readyz", timeout=5).json()["checks"]["database"]


def test_no_region_s_log_holds_a_failure_of_ours(broken: Site) -> None:
    for region in broken.regions.values():
        log = Path(region.log_path).read_text()
        assert '"request_failed"' not in log and '"internal"' not in log


@pytest.mark.prove
def test_a_feed_that_hangs_is_said_by_the_age_of_what_is_read_and_by_readyz(broken: Site) -> None:
    """It keeps its session, and so the lock by which a feed is known."""
    client = broken.client(US)
    until(lambda: requests.get(f"{broken.us.url}/readyz", timeout=5).status_code == 200)

    def staleness_ms() -> int:
        return int(client.get("/v1/changes").headers["ig-staleness-ms"])

    with paused(broken.us.processes["feed"].pid):
        assert client.write(entity("after-it-hung")).status_code == 200
        until(lambda: staleness_ms() > 1_500)
        until(lambda: requests.get(f"{broken.us.url}/readyz", timeout=5).json()["checks"]["feed"] is not None)
    until(lambda: requests.get(f"{broken.us.url}/readyz", timeout=5).status_code == 200)
    until(lambda: staleness_ms() < 1_500)


def test_a_worker_whose_new_logins_are_refused_says_that_no_write_gets_through(broken: Site) -> None:
    """Its sessions go on, and so does `/readyz`: what is asked is whether a new one could write."""

    def writes() -> requests.Response:
        return requests.get(f"{broken.us.url}/readyz?writes", timeout=10)

    until(lambda: writes().status_code == 200)
    broken.us.sql("alter role ig_api nologin")
    try:
        until(lambda: writes().status_code == 503)
        told = writes().json()
        assert (told["writes"], told["region"], told["code"]) == (False, US, "database_unavailable")
        assert "no new session logs in" in told["reason"] and "SQLSTATE 28000" in told["reason"]
    finally:
        broken.us.sql("alter role ig_api login")
    until(lambda: writes().json() == {"writes": True, "region": US, "limits": {}})


def test_a_lock_that_stops_every_write_stops_the_probe_too(broken: Site) -> None:
    until(lambda: requests.get(f"{broken.us.url}/readyz?writes", timeout=10).status_code == 200)
    done = threading.Event()
    locking = threading.Thread(target=_lock_the_log, args=(broken, done))
    locking.start()
    try:
        until(lambda: requests.get(f"{broken.us.url}/readyz?writes", timeout=10).status_code == 503)
    finally:
        done.set()
        locking.join()
    until(lambda: requests.get(f"{broken.us.url}/readyz?writes", timeout=10).status_code == 200)


def _lock_the_log(site: Site, done: threading.Event) -> None:
    async def hold() -> None:
        connection = await connect(site.us.config.admin_database)
        try:
            await connection.execute("set idle_in_transaction_session_timeout = 0; begin; lock table ig.change")
            await asyncio.to_thread(done.wait, 30)
        finally:
            connection.terminate()

    asyncio.run(hold())
