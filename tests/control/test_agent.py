"""The agent's tasks side by side: nothing that its hook does delays a renewal; doors hear of a new grant at once."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from intelgraph.control.agent.agent import SUSPECT_S_MAX, Agent, Hook, OnlyLooks, Parts, is_any_suspect
from intelgraph.control.agent.leases.grants import serve_grants
from intelgraph.control.agent.leases.keeper import LeaseKeeper
from intelgraph.control.agent.leases.steady import steady_s
from intelgraph.control.agent.leases.watching import Watching
from intelgraph.control.directory.placements import Directory
from intelgraph.control.directory.reports import REPORTS, Seen
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import Denied
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.lease import LeasePolicy, Watched
from intelgraph.runtime.loops import Loop
from tests.fakes.heartbeat import FakeHeartbeat
from tests.machine import WAIT_S, stretched

from .stores import run

US, EU = "us-east", "eu-west"
POLICY = LeasePolicy(renew_s=0.2, lease_s=1.0, drift_s=0.05, look_gap_max_s=0.2)
BOTH = Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME)


class Busy(OnlyLooks):
    """Acts without an end, fails now and then, and notes what wakes it."""

    def __init__(self) -> None:
        self.failed = 0
        self.before = 0
        self.woken = asyncio.Event()

    def loops(self, agent: Agent) -> Mapping[str, Loop]:
        async def act() -> None:
            await asyncio.sleep(3600)

        async def fail() -> None:
            self.failed += 1
            raise RuntimeError("this action failed")

        async def wait() -> None:
            while True:
                await agent.changed(3600, since=self.before)
                self.before = agent.changes
                self.woken.set()

        return {"act": act, "fail": fail, "wait": wait}

    def seen(self) -> Seen:
        return Seen(reached={EU: True})


@asynccontextmanager
async def working(
    tmp_path: Path, hook: Hook, policy: LeasePolicy = POLICY, heartbeat: FakeHeartbeat | None = None
) -> AsyncIterator[tuple[Agent, SqliteControlStore, Path]]:
    store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
    with tempfile.TemporaryDirectory(prefix="ig-agent-") as directory:
        socket = Path(directory) / "agent.sock"
        heartbeat = heartbeat or FakeHeartbeat()
        agent = Agent(
            Parts(
                here=US,
                region=None,
                store=store,
                policy=policy,
                clock=steady_s,
                watching=Watching(vantage=US, store=store, policy=policy, clock=steady_s),
                keeper=LeaseKeeper(
                    region=US, term="one", store=store, heartbeat=heartbeat, policy=policy, clock=steady_s
                ),
                look_s=0.05,
                serve_grants=partial(serve_grants, path=socket),
            ),
            hook,
        )
        task = asyncio.create_task(agent.run())
        try:
            yield agent, store, socket
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await store.close()


async def ask(socket: Path, after: str = "") -> dict[str, object]:
    while not socket.exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(json.dumps({"after": after}).encode() + b"\n")
    told: dict[str, object] = json.loads(await reader.readline())
    writer.close()
    return told


def test_renewals_go_on_while_actions_hang_and_fail(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def body() -> None:
        hook = Busy()
        async with working(tmp_path, hook) as (agent, store, _):
            granted_s = []
            while len(granted_s) < 8 or hook.failed < 2:
                before = agent.grant.generation if agent.grant else None
                await agent.next_grant(before, WAIT_S)
                assert agent.grant is not None
                granted_s.append(agent.grant.until_s)
            assert granted_s == sorted(set(granted_s)), "each grant is for longer than the one before"
            assert (await store.read([REPORTS + US])).entries[REPORTS + US].value is not None

    run(body())
    assert capfd.readouterr().out.count('"loop": "hook fail"') == 1


def test_a_door_hears_of_a_new_epoch_as_soon_as_it_is_decided_and_so_does_the_hook(tmp_path: Path) -> None:
    async def body() -> None:
        hook, seldom = Busy(), LeasePolicy(renew_s=4.0)
        async with working(tmp_path, hook, seldom) as (_, store, socket):
            directory = Directory(store)
            record = await directory.create_placement(BOTH)
            told = await ask(socket)
            while told["epochs"] != {"both": 1}:
                told = await ask(socket, str(told["generation"]))
            hook.woken.clear()
            other = SqliteControlStore(tmp_path / "control.db")
            await Directory(other).update_placement(record, replace(BOTH, epoch=2))
            decided_s, began_s = steady_s(), time.monotonic()
            while told["epochs"] != {"both": 2}:
                told = await ask(socket, str(told["generation"]))
            assert steady_s() - decided_s < stretched(2.0, began_s)
            assert 2.0 < float(str(told["remains_s"])) <= seldom.lease_s
            await asyncio.wait_for(hook.woken.wait(), WAIT_S)
            await other.close()

    run(body())


def test_a_lease_that_is_given_up_is_not_renewed_and_the_cause_is_said_first(tmp_path: Path) -> None:
    class GivesUp(OnlyLooks):
        def gives_up(self) -> Denied | None:
            return Denied(code="lease_given_up", reason="writes fail")

    async def body() -> None:
        heartbeat = FakeHeartbeat()
        async with working(tmp_path, GivesUp(), heartbeat=heartbeat) as (agent, store, _):

            async def until_not_renewed_for(code: str) -> None:
                while agent.not_renewed is None or agent.not_renewed.code != code:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

            await asyncio.wait_for(until_not_renewed_for("lease_given_up"), WAIT_S)
            heartbeat.away = True
            await asyncio.wait_for(until_not_renewed_for("database_unavailable"), WAIT_S)
            assert agent.grant is None
            assert (await store.read(prefix="leases/")).entries == {}

    run(body())


def test_a_door_that_talks_nonsense_is_hung_up_on_and_others_are_answered(tmp_path: Path) -> None:
    async def body() -> None:
        async with working(tmp_path, OnlyLooks()) as (_, _, socket):
            assert (await ask(socket))["remains_s"] != 0
            reader, writer = await asyncio.open_unix_connection(str(socket))
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == b""
            writer.close()
            assert (await ask(socket))["generation"]

    run(body())


def test_a_lease_that_stands_still_is_looked_at_often_although_another_ended_long_ago() -> None:
    def still(*for_s: float) -> list[Watched]:
        return [Watched(counter=1, version=1, still_s=each, looked_s=0.0) for each in for_s]

    assert not is_any_suspect(still(0.1, SUSPECT_S_MAX), POLICY)
    assert is_any_suspect(still(0.1, 0.6, SUSPECT_S_MAX), POLICY)
    assert not is_any_suspect([], POLICY)
