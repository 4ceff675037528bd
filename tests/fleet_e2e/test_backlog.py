"""One region out of reach while many rows are written: writes go on, the disk is bounded, and it catches up by itself.

With room for the backlog the slot passes it through; without, it is lost, readers are told, and rows are reissued.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg
import pytest

from tests.fleet_e2e.running import AWAY, HOME, TWO_REGIONS, RunningFleet, started, until
from tests.proof.ledger import Ledger

SLOT_MB = 64
_WRITERS = 8
_CHECKPOINT_EVERY_S = 5.0
_COUNTED_EVERY_S = 0.5


@pytest.mark.fleet
@pytest.mark.prove
def test_a_lost_slot_is_told_and_repaired(two_regions: RunningFleet) -> None:
    backlog = Backlog(fleet=two_regions, rows=6_000, note_bytes=6_000, slot_mb=SLOT_MB)
    backlog.run()
    print(backlog.figures())
    assert backlog.slot_lost


@pytest.mark.fleet
@pytest.mark.prove
@pytest.mark.timeout(5_400)
@pytest.mark.parametrize(
    ("case", "slot"),
    [("slot of 4 GB: passed through", "4GB"), ("slot of 64 MB: lost and reissued", "64MB")],
)
def test_an_hour_of_backlog(case: str, slot: str) -> None:
    ledger = Ledger("backlog", "One region unreachable while 200,000 rows are written")
    if ledger.done(case):
        pytest.skip("proven already; delete .proof/backlog.json to prove it again")
    with started(TWO_REGIONS.replace('"64MB"', f'"{slot}"')) as fleet:
        slot_mb = 4096 if slot == "4GB" else SLOT_MB
        backlog = Backlog(fleet=fleet, rows=200_000, note_bytes=200, slot_mb=slot_mb, catch_up_s_max=3_000)
        backlog.run()
        assert backlog.slot_lost is (slot == "64MB")
        ledger.record(case, backlog.figures())


@dataclass(kw_only=True)
class Backlog:
    """Cut a region off, write, heal, wait until both hold the same; ``run`` holds every claim on the way."""

    fleet: RunningFleet
    rows: int
    note_bytes: int
    slot_mb: int
    catch_up_s_max: float = 120.0
    tenant: str = field(default_factory=lambda: f"backlog-{uuid.uuid4().hex[:6]}")
    epoch: int = 1
    write_s: float = 0.0
    wal_mb_max: float = 0.0
    slot_lost: bool = False
    catch_up_s: float = 0.0
    reissued: int = 0
    told: dict[str, int] = field(default_factory=dict)

    def run(self) -> None:
        """The whole story."""
        self.fleet.tenant(self.tenant, "--regions", f"{HOME},{AWAY}", "--home", HOME)
        asyncio.run(self._seed())
        replaced, reissued = len(self._feed_says(HOME, "slot_replaced")), len(self._feed_says(AWAY, "reissued"))
        self.fleet.cli("wan", HOME, AWAY, "--cut", "both")
        try:
            began = time.monotonic()
            with self._watching_the_disk():
                asyncio.run(self._write())
            self.write_s = time.monotonic() - began
            # What is kept for the slot, what a checkpoint has not removed yet, and one segment being written.
            assert self.wal_mb_max <= self.slot_mb + 2 * 256 + 16, f"{self.wal_mb_max:.0f} MB of WAL were kept"
        finally:
            self.fleet.cli("wan", HOME, AWAY, "--heal")
        healed_at = time.monotonic()
        with self._reading():
            self.fleet.wait_until_whole(self.catch_up_s_max)
            until(lambda: asyncio.run(self._missing()) == 0, self.catch_up_s_max, "rows are missing")
            self.catch_up_s = time.monotonic() - healed_at
            self.fleet.wait_until_whole(self.catch_up_s_max)
        self.slot_lost = len(self._feed_says(HOME, "slot_replaced")) > replaced
        self.reissued = sum(told["rows"] for told in self._feed_says(AWAY, "reissued")[reissued:])
        if self.slot_lost:
            assert self.told.get("gap", 0) > 0, f"readers were not told of the gap: {self.told}"
        assert self.told.get("stale", 0) == 0, self.told

    def figures(self) -> dict[str, object]:
        """What the table of proofs shows."""
        return {
            "rows": self.rows,
            "written at home": f"{self.rows / self.write_s:.0f} rows/s",
            "most WAL kept at home": f"{self.wal_mb_max:.0f} MB",
            "slot": "lost" if self.slot_lost else "kept",
            "rows reissued": self.reissued,
            "equal after healing": f"{self.catch_up_s:.1f} s",
            "caught up at": f"{self.rows / self.catch_up_s:.0f} rows/s",
            "reads meanwhile": ", ".join(f"{count} {what}" for what, count in sorted(self.told.items())),
        }

    async def _seed(self) -> None:
        async with self.fleet.owner(HOME) as database:
            await self._append(database, "last", "seed")

    async def _append(self, database: asyncpg.Connection, entity: str, name: str) -> dict[str, Any]:
        note = secrets.token_urlsafe(self.note_bytes * 3 // 4)
        told = {"id": entity, "type": "malware", "name": name, "properties": {"note": note}}
        body = json.dumps([{"op": "upsert_entity", "entity": told}])
        key = str(uuid.uuid4())
        while True:
            answer: dict[str, Any] = json.loads(
                await database.fetchval(
                    "select ig.append($1, $2, $1, $3, $4, $5)",
                    self.tenant, self.epoch, key, hashlib.sha256(body.encode()).digest(), body,
                )
            )  # fmt: skip
            if answer.get("code") != "fenced":
                break
            # A standby that was lost, or is back, makes the home's agent open another epoch.
            self.epoch = answer["facts"]["epoch"]
        assert answer["status"] == "ok", answer
        return answer

    async def _write(self) -> None:
        async def write(worker: int) -> None:
            async with self.fleet.owner(HOME) as database:
                for number in range(worker, self.rows, _WRITERS):
                    await self._append(database, f"e-{number % 50_000}", str(number))

        await asyncio.gather(*(write(worker) for worker in range(_WRITERS)))
        async with self.fleet.owner(HOME) as database:
            await self._append(database, "last", "written while the region was out of reach")
            await database.execute("checkpoint")

    @contextmanager
    def _watching_the_disk(self) -> Iterator[None]:
        """Note the most WAL that was kept, with a checkpoint every few seconds as a busy server has them."""
        wal = self.fleet.region_directory(HOME) / "postgres" / "data" / "pg_wal"
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.2):
                sizes = []
                for path in wal.iterdir():
                    try:
                        sizes.append(path.stat().st_size if path.is_file() else 0)
                    except FileNotFoundError:
                        continue
                self.wal_mb_max = max(self.wal_mb_max, sum(sizes) / 1e6)

        async def checkpoints() -> None:
            async with self.fleet.owner(HOME) as database:
                while not stop.is_set():
                    await database.execute("checkpoint")
                    await asyncio.sleep(_CHECKPOINT_EVERY_S)

        threads = [threading.Thread(target=watch), threading.Thread(target=lambda: asyncio.run(checkpoints()))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(_CHECKPOINT_EVERY_S + 30)

    def _feed_says(self, region: str, event: str) -> list[dict[str, Any]]:
        """What a region's feed has logged of one kind so far."""
        lines = (self.fleet.fleet.logs(region) / "feed.log").read_text(encoding="utf-8").splitlines()
        return [told for line in lines if f'"{event}"' in line for told in [json.loads(line)]]

    async def _missing(self) -> int:
        await asyncio.sleep(_COUNTED_EVERY_S)
        counted = []
        for region in (HOME, AWAY):
            async with self.fleet.owner(region) as database:
                counted.append(
                    await database.fetchval("select count(*) from ig.change where placement = $1", self.tenant)
                )
        return int(counted[0] - counted[1])

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Read in the region that catches up, and count what readers are told; a gap must never look like an answer."""
        stop = threading.Event()

        async def read() -> None:
            headers = {"Authorization": f"Bearer {self.fleet.token(self.tenant)}"}
            url = f"{self.fleet.doors[AWAY]}/v1/entities/last"
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
                while not stop.is_set():
                    what = await self._read(http, url, headers)
                    self.told[what] = self.told.get(what, 0) + 1
                    await asyncio.sleep(0.05)

        thread = threading.Thread(target=lambda: asyncio.run(read()))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)

    async def _read(self, http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> str:
        async with http.get(url, headers=headers) as answer:
            told = await answer.json(content_type=None)
            if answer.status != 200:
                return str(told["code"])
            if told["name"] != "seed":
                return "fresh"
            # It still lacks rows; then the answer has to say how old it is.
            age = answer.headers["IG-Staleness-Ms"]
            return "old and said so" if not age.isdigit() or int(age) > 200 else "stale"
