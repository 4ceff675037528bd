"""A read with a bookmark is never stale; one without is told how stale it may be, and not much more than it is."""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import pytest

from tests.fleet_e2e.running import AWAY, HOME, RunningFleet, until_true
from tests.machine import contention

pytestmark = [pytest.mark.fleet, pytest.mark.alone]
TENANT = "fresh"
PAIRS = 1_000
AT_ONCE = 8
SAMPLES = 300
ABOVE_MS_MAX = 50.0
DELAY_MS = 40.0
_SAMPLING_S_MAX = 20.0


@pytest.fixture(scope="module")
def fleet(two_regions: RunningFleet) -> RunningFleet:
    """The fleet with a tenant that both regions serve."""
    two_regions.tenant(TENANT, "--regions", f"{HOME},{AWAY}", "--home", HOME)
    return two_regions


def test_no_read_with_a_bookmark_is_stale(fleet: RunningFleet) -> None:
    async def pairs(http: aiohttp.ClientSession, worker: int) -> list[str]:
        wrong = []
        for number in range(PAIRS // AT_ONCE):
            # A few entities for all workers: a read must see its write or a later one of the same entity.
            entity, name = f"pair-{number % 5}", f"{worker}/{number}"
            status, told, _ = await _ask(http, fleet.doors[HOME], fleet, write=upsert(entity, name))
            assert status == 200, told
            marked = {"IG-Bookmark": told["bookmark"]}
            status, seen, _ = await _ask(http, fleet.doors[AWAY], fleet, read=entity, headers=marked)
            if status != 200 or seen["revision"] < told["objects"][0]["revision"]:
                wrong.append(f"{told['bookmark']}: {status} {seen}")
        return wrong

    async def all_of_them() -> list[str]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
            found = await asyncio.gather(*(pairs(http, worker) for worker in range(AT_ONCE)))
            return [each for wrong in found for each in wrong]

    stale = asyncio.run(all_of_them())
    assert not stale, f"{len(stale)} of {PAIRS}: {stale[:5]}"


@pytest.mark.prove
def test_a_read_at_home_is_not_stale(fleet: RunningFleet) -> None:
    async def read() -> str:
        async with aiohttp.ClientSession() as http:
            await _ask(http, fleet.doors[HOME], fleet, write=upsert("at-home", "x"))
            status, _, headers = await _ask(http, fleet.doors[HOME], fleet, read="at-home")
            assert status == 200
            return str(headers["IG-Staleness-Ms"])

    assert asyncio.run(read()) == "0"


@pytest.mark.parametrize("delay_ms", [pytest.param(0.0, marks=pytest.mark.prove), DELAY_MS])
def test_the_staleness_header_is_an_upper_bound_close_to_the_truth(fleet: RunningFleet, delay_ms: float) -> None:
    began_s = time.monotonic()
    fleet.cli("wan", HOME, AWAY, "--delay-ms", str(delay_ms), "--for", "180s")
    try:
        samples = asyncio.run(_sample(fleet))
    finally:
        fleet.cli("wan", HOME, AWAY, "--delay-ms", "0")
        fleet.cli("wan", HOME, AWAY, "--heal")
    # The quicker a read, the closer the truth is known.
    quick = sorted(samples, key=lambda sample: sample.took_s)[: max(1, len(samples) // 2)]
    above = sorted(sample.told_ms - sample.most_ms for sample in quick)
    print(f"{delay_ms:g} ms each way, {len(samples)} reads: told {_spread([s.told_ms for s in samples])}")
    print(f"truth from {_spread([s.least_ms for s in quick])} to {_spread([s.most_ms for s in quick])}")
    print(f"told above the truth by {_spread(above)}; machine {contention(began_s):.1f} times slower than alone")
    lies = [sample for sample in samples if sample.told_ms < sample.least_ms]
    assert not lies, f"{len(lies)} of {len(samples)} answers were staler than they said: {lies[:3]}"
    # A token travels to the home before it comes back, and nobody can know how much of the way was the first half:
    # that much the bound must be above the truth.
    limit_ms = ABOVE_MS_MAX * contention(began_s) + delay_ms
    assert statistics.median(above) <= limit_ms
    assert above[int(len(above) * 0.95)] <= limit_ms


@pytest.mark.prove
def test_the_staleness_header_grows_while_the_link_is_cut(fleet: RunningFleet) -> None:
    async def grows() -> None:
        async with aiohttp.ClientSession() as http:

            async def told_ms() -> int:
                status, _, headers = await _ask(http, fleet.doors[AWAY], fleet, read="at-home")
                assert status == 200
                return int(headers["IG-Staleness-Ms"])

            await _ask(http, fleet.doors[HOME], fleet, write=upsert("at-home", "before the cut"))
            fleet.cli("wan", HOME, AWAY, "--cut", "both", "--for", "180s")
            cut_at = time.monotonic()
            first_asked, before, first_told = time.monotonic(), await told_ms(), time.monotonic()
            await asyncio.sleep(1.5)
            asked, grown, told = time.monotonic(), await told_ms() - before, time.monotonic()
            least_ms, most_ms = (asked - first_told) * 1000, (told - first_asked) * 1000
            assert least_ms - 100 < grown < most_ms + 100, f"it grew by {grown} ms in {least_ms:.0f} to {most_ms:.0f}"
            asked = time.monotonic()
            assert await told_ms() >= (asked - cut_at) * 1000 - 1
            fleet.cli("wan", HOME, AWAY, "--heal")

            async def fresh() -> bool:
                return await told_ms() < 1_000

            await until_true(fresh, 20.0, "the region does not become fresh again")

    try:
        asyncio.run(grows())
    finally:
        fleet.cli("wan", HOME, AWAY, "--heal")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One read without a bookmark: what the header said, and the least and the most that the truth can have been."""

    told_ms: float
    least_ms: float
    most_ms: float
    took_s: float


@dataclass(kw_only=True)
class Numbers:
    """Numbers written at home one after the other: when each was sent and when it was surely committed."""

    sent: list[float] = field(default_factory=list)
    committed: list[float] = field(default_factory=list)

    async def write(self, database: asyncpg.Connection, epoch: int) -> None:
        self.sent.append(time.monotonic())
        await _append(database, epoch, len(self.committed))
        self.committed.append(time.monotonic())

    def sample(self, seen: int, told_ms: float, asked_at: float, answered_at: float) -> Sample:
        """Reckon the truth: the state is as old as the oldest write that it lacks."""
        lacking = seen + 1
        least_s = asked_at - self.committed[lacking] if lacking < len(self.committed) else 0.0
        most_s = answered_at - self.sent[lacking] if lacking < len(self.sent) else 0.0
        return Sample(
            told_ms=told_ms,
            least_ms=max(0.0, least_s * 1000),
            most_ms=max(0.0, most_s * 1000),
            took_s=answered_at - asked_at,
        )


async def _sample(fleet: RunningFleet) -> list[Sample]:
    """Write at home and read in the other region, all by this machine's monotonic clock."""
    numbers, samples, stop = Numbers(), [], asyncio.Event()
    async with fleet.owner(HOME) as database, aiohttp.ClientSession() as http:
        epoch = await database.fetchval("select epoch from ig.placement where id = $1", TENANT)
        await numbers.write(database, epoch)

        async def write() -> None:
            while not stop.is_set():
                await numbers.write(database, epoch)
                await asyncio.sleep(0.002)

        writing = asyncio.create_task(write())
        await until_true(lambda: _is_fresh(http, fleet), 20.0, "the region does not become fresh")
        until_s = time.monotonic() + _SAMPLING_S_MAX
        while len(samples) < SAMPLES and time.monotonic() < until_s:
            asked_at = time.monotonic()
            status, answer, headers = await _ask(http, fleet.doors[AWAY], fleet, read="number")
            answered_at = time.monotonic()
            assert status == 200, answer
            told_ms = float(headers["IG-Staleness-Ms"])
            samples.append(numbers.sample(int(answer["name"]), told_ms, asked_at, answered_at))
            await asyncio.sleep(0.005)
        stop.set()
        await writing
    return samples


async def _is_fresh(http: aiohttp.ClientSession, fleet: RunningFleet) -> bool:
    status, _, headers = await _ask(http, fleet.doors[AWAY], fleet, read="number")
    told = headers.get("IG-Staleness-Ms", "")
    return status == 200 and told.isdigit() and int(told) < 1_000


async def _append(database: asyncpg.Connection, epoch: int, number: int) -> None:
    body = json.dumps([upsert("number", str(number))])
    told = await database.fetchval(
        "select ig.append($1, $2, $1, $3, $4, $5)",
        TENANT, epoch, str(uuid.uuid4()), hashlib.sha256(body.encode()).digest(), body,
    )  # fmt: skip
    assert json.loads(told)["status"] == "ok", told


def upsert(entity: str, name: str) -> dict[str, Any]:
    """An operation that sets an entity's name."""
    return {"op": "upsert_entity", "entity": {"id": entity, "type": "malware", "name": name}}


async def _ask(
    http: aiohttp.ClientSession,
    url: str,
    fleet: RunningFleet,
    *,
    write: dict[str, Any] | None = None,
    read: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any, Any]:
    sent = {"Authorization": f"Bearer {fleet.token(TENANT)}", **(headers or {})}
    if write is not None:
        sent |= {"Idempotency-Key": str(uuid.uuid4())}
        request = http.post(f"{url}/v1/changes", json={"operations": [write]}, headers=sent)
    else:
        request = http.get(f"{url}/v1/entities/{read}", headers=sent)
    async with request as answer:
        return answer.status, await answer.json(content_type=None), answer.headers


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    return f"median {statistics.median(ordered):.0f} p95 {ordered[int(len(ordered) * 0.95)]:.0f} ms"
