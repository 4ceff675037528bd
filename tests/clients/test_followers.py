"""Stock clients follow a tenant through restarts, a moved home and an expired token: every event, once."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from intelgraph.api.auth.authentication import LEEWAY_S
from intelgraph.control.agent.controller.opening import open_epoch
from intelgraph.control.directory.placements import Directory
from intelgraph.control.store.sqlite import SqliteControlStore
from tests.api.site import EU, US, Client, Site, entity
from tests.next_epoch import moved

from .conftest import WAIT_S, Program, until
from .follow import Follower

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(600)]
TENANT = "globex"
PROGRAMS = ("follow_graphql_sse", "follow_apollo", "follow_urql", "follow_urql_fetch")
_PAUSE_S = 0.05


class Writer:
    """Writes one entity after the other, each until it is acknowledged, and knows their ids in order."""

    def __init__(self, site: Site) -> None:
        self.ids: list[str] = []
        self._client = Client(site.us.url, site.issuer.token(TENANT, ttl_s=3_600))
        self._may_write = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            with self._may_write:
                self._write()
            time.sleep(_PAUSE_S)

    def _write(self) -> str:
        operation, key = entity(f"w-{len(self.ids)}"), str(uuid.uuid4())
        ends = time.monotonic() + WAIT_S
        while time.monotonic() < ends:
            try:
                answer = self._client.write(operation, key=key)
            except requests.RequestException:
                time.sleep(_PAUSE_S)
                continue
            if answer.status_code == 200:
                self.ids.append(operation["entity"]["id"])
                return str(answer.json()["bookmark"])
            time.sleep(_PAUSE_S)
        raise AssertionError("a write was not acknowledged in time")

    @contextmanager
    def paused(self) -> Iterator[str]:
        """No write is under way; yields the bookmark of the last one."""
        with self._may_write:
            yield self._write()

    def stop(self) -> None:
        self._stopping = True
        self._thread.join(WAIT_S)


def ids_of(follower: Program | Follower) -> list[str]:
    return [id_ for line in follower.lines if "ids" in line for id_ in line["ids"]]


def until_taken(followers: list[Any], writer: Writer) -> None:
    """Wait until every follower has taken what is written from now on."""
    wanted = len(writer.ids) + 1
    for follower in followers:
        until(
            lambda follower=follower: len(ids_of(follower)) > wanted,  # type: ignore[misc]
            f"{follower.name} stays behind: {follower.lines[-3:]}, written are {len(writer.ids)}",
        )


def move_home(site: Site, home: str) -> None:
    async def body() -> None:
        store = SqliteControlStore(site.control)
        try:
            directory = Directory(store)
            before = await directory.placement("both")
            record = await directory.update_placement(before, moved(before.placement, home))
            await open_epoch(record, site.regions[home].config.admin_database)
        finally:
            await store.close()

    asyncio.run(body())


def home(site: Site) -> str:
    return str(site.us.sql("select home from ig.placement where id = 'both'"))


def restart(site: Site) -> None:
    site.us.stop("api")
    site.us.start("api")
    site.us.wait_ready(timeout_s=WAIT_S)


@pytest.mark.parametrize("restarts", [1, pytest.param(10, marks=pytest.mark.prove)])
def test_every_event_is_taken_once_through_restarts_a_moved_home_and_an_expired_token(
    site: Site, tmp_path: Path, restarts: int
) -> None:
    token = tmp_path / "token"
    expires = time.time() + 1
    token.write_text(site.issuer.token(TENANT, "analyst", ttl_s=1))
    start = site.client(US, tenant=TENANT).write(entity()).json()["bookmark"]
    settings = {"url": site.us.url + "/graphql", "token": str(token), "after": start}
    with ExitStack() as stack:
        writer = Writer(site)
        stack.callback(writer.stop)
        followers: list[Any] = [Program(name, settings) for name in PROGRAMS]
        followers.append(Follower(f"{site.us.url}/v1/changes", token, start))
        for follower in followers:
            stack.callback(follower.stop)
        # Whoever is quick follows by the first token; it expires for all of them.
        until(lambda: all(map(ids_of, followers)) or time.time() > expires + LEEWAY_S, "never")
        token.write_text(site.issuer.token(TENANT, "analyst", ttl_s=3_600))
        until(lambda: time.time() > expires + LEEWAY_S, "never")
        until_taken(followers, writer)
        for number in range(restarts):
            if number == restarts // 2:
                with writer.paused() as last:
                    known = Client(site.eu.url, token.read_text()).get("/v1/entities/none", {"ig-bookmark": last})
                    assert known.json()["code"] == "not_found"
                    move_home(site, EU if home(site) == US else US)
                until_taken(followers, writer)
            restart(site)
            until_taken(followers, writer)
        writer.stop()
        for follower in followers:
            until(lambda follower=follower: len(ids_of(follower)) >= len(writer.ids), follower.name)  # type: ignore[misc]
    assert {follower.name: ids_of(follower) for follower in followers} == {
        follower.name: writer.ids for follower in followers
    }
    told = {
        follower.name: [line for line in follower.lines if "error" in line or "end" in line] for follower in followers
    }
    assert told == {follower.name: [] for follower in followers}


def test_what_connecting_again_cannot_help_ends_a_follower_with_its_reason(site: Site, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(site.issuer.token(TENANT, "analyst"))
    settings = {"url": site.us.url + "/graphql", "token": str(token), "after": "nonsense"}
    for name in PROGRAMS[:2]:
        told, *ended = Program(name, settings).finish()[-2:]
        assert (told["code"], ended) == ("bad_bookmark", [{"end": "complete"}]), name
