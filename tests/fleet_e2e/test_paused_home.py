"""A home whose every process is stopped: reads go elsewhere within a second, and what it wakes up to is not its home.

The other region takes the placement over by itself meanwhile. Then the home is let go on: of the writes that it held,
none is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp
import pytest

from tests.fleet_e2e.moving import control, settled_at, until_placed
from tests.fleet_e2e.running import AWAY, GLOBAL, HOME, CommandFailed, RunningFleet, until, until_true
from tests.machine import WAIT_S, contention, stretched
from tests.pausing import paused

pytestmark = [pytest.mark.fleet, pytest.mark.alone]
TENANT = "paused"
REGION = tuple(f"{HOME}/{part}" for part in ("edge", "api", "feed", "agent", "postgres"))


@pytest.fixture(scope="module")
def fleet(two_regions: RunningFleet) -> RunningFleet:
    two_regions.tenant(TENANT, "--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY)
    return two_regions


@contextlib.contextmanager
def stopped(fleet: RunningFleet) -> Iterator[None]:
    """Every process of the home is stopped, and goes on at the end."""
    with paused(*(identity.pid for part in REGION for identity in fleet.processes(part))):
        yield


def is_ready(fleet: RunningFleet) -> bool:
    """Whether every part does its work."""
    with contextlib.suppress(CommandFailed):
        return bool(fleet.cli("status")["ready"])
    return False


@dataclass(kw_only=True)
class Client:
    """A client of one door that writes, or reads, one request after the other."""

    fleet: RunningFleet
    door: str
    answers: list[tuple[float, int, dict[str, str]]] = field(default_factory=list)

    async def write_on(self, http: aiohttp.ClientSession) -> None:
        """Write for ever; each answer's arrival, status and members."""
        while True:
            name = str(uuid.uuid4())
            operation = {"op": "upsert_entity", "entity": {"id": name, "type": "malware", "name": name}}
            headers = {**self._headers(), "idempotency-key": name}
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.post(
                    f"{self.fleet.doors[self.door]}/v1/changes", json={"operations": [operation]}, headers=headers
                ) as answer:
                    self.answers.append((time.monotonic(), answer.status, await answer.json(content_type=None)))
            await asyncio.sleep(0.01)

    async def read_on(self, http: aiohttp.ClientSession) -> None:
        """Read for ever; only good answers are noted."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(
                    f"{self.fleet.doors[self.door]}/v1/entities?limit=1", headers=self._headers()
                ) as answer:
                    if answer.status == 200:
                        self.answers.append((time.monotonic(), answer.status, {}))
            await asyncio.sleep(0.01)

    def succeeded_since(self, begin_s: float) -> bool:
        return any(at > begin_s and status == 200 for at, status, _ in self.answers)

    def longest_gap_s(self, begin_s: float, end_s: float) -> float:
        times = [begin_s, *(at for at, _, _ in self.answers if begin_s < at < end_s), end_s]
        return max(later - earlier for earlier, later in pairwise(times))

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.fleet.token(TENANT)}"}


@contextlib.asynccontextmanager
async def busy(*clients: Client, reading: Client):  # type: ignore[no-untyped-def]
    """The clients at work."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        tasks = [asyncio.create_task(client.write_on(http)) for client in clients]
        tasks.append(asyncio.create_task(reading.read_on(http)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def answered(since_s: float, *clients: Client) -> None:
    """Wait until each has had a good answer since then."""

    async def all_have() -> bool:
        return all(client.succeeded_since(since_s) for client in clients)

    await until_true(all_have, WAIT_S, "a client has no good answer")


async def move_back(fleet: RunningFleet) -> None:
    """Wait until what was the home is standby again, and make it the home."""
    async with control(fleet) as store:
        await until_placed(store, TENANT, settled_at(AWAY, HOME), 60.0, "the home is not standby again")
    await asyncio.to_thread(fleet.move, "failback", "--placement", TENANT)


def test_a_home_that_wakes_up_acknowledges_nothing_of_the_epoch_that_is_over(fleet: RunningFleet) -> None:
    async def body() -> None:
        at_home, held = [Client(fleet=fleet, door=HOME) for _ in range(8)], Client(fleet=fleet, door=AWAY)
        reading = Client(fleet=fleet, door=GLOBAL)
        async with busy(*at_home, held, reading=reading):
            await answered(0.0, *at_home, held, reading)
            with stopped(fleet):
                stopped_s = time.monotonic()
                async with control(fleet) as store:
                    placement, _ = await until_placed(store, TENANT, settled_at(AWAY), 40.0, "nobody took over")
                epoch = placement.epoch
                reads_s = reading.longest_gap_s(stopped_s, time.monotonic())
                assert not [
                    at
                    for client in at_home
                    for at, _, _ in client.answers
                    if at > stopped_s + stretched(0.5, stopped_s)
                ]
                opened_s = time.monotonic()
                while not held.succeeded_since(opened_s):  # noqa: ASYNC110 - another process decides
                    await asyncio.sleep(0.01)
                held_s = time.monotonic() - opened_s
            woken_s = time.monotonic()
            await asyncio.sleep(4.0)
            await answered(woken_s, *at_home)
        late = [
            told["bookmark"]
            for client in at_home
            for at, status, told in client.answers
            if at > woken_s and status == 200 and int(told["bookmark"].split("/")[2]) < epoch
        ]
        assert late == []
        print(f"reads: longest gap {reads_s:.2f} s; held write through {held_s:.2f} s after the open")
        assert reads_s < 1.0 * contention(stopped_s)
        assert held_s < 1.0 * contention(opened_s)

    asyncio.run(body())
    until(lambda: is_ready(fleet), 30.0, "the fleet is not whole")
    asyncio.run(move_back(fleet))


@pytest.mark.prove
def test_a_home_that_is_killed_costs_no_reader_a_second(fleet: RunningFleet) -> None:
    async def body() -> None:
        reading = Client(fleet=fleet, door=GLOBAL)
        async with busy(reading=reading):
            await answered(0.0, reading)
            killed_s = time.monotonic()
            for identity in [identity for part in REGION for identity in fleet.processes(part)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(identity.pid, signal.SIGKILL)
            await asyncio.sleep(4.0)
        gap_s = reading.longest_gap_s(killed_s, killed_s + 4.0)
        print(f"reads: longest gap {gap_s:.2f} s")
        assert gap_s < 1.0 * contention(killed_s)

    asyncio.run(body())
    until(lambda: is_ready(fleet), 60.0, "the fleet is not whole")
    fleet.wait_until_whole()
