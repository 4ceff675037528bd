"""Two or three regions' databases on one scratch server, and replication between them at the test's command.

For: driving the real SQL fast. What a region writes is kept in a tap in the order of its commits; the test carries
rows to other regions when it wants to, and inserts them as the apply worker does: always-firing triggers only, an
empty search path, only the published columns, one transaction each. What decides whether a row may leave is the
publication's filter, repeated here; its own test is that of the links.

What does not belong here: what the answers ought to be (`world`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from bench.scratch import Scratch, start_scratch
from intelgraph.changelog.install import begin_new_life, install_schema, schema_digest, schema_files
from intelgraph.changelog.links import REPLICATED_COLUMNS

HARNESS = Path(__file__).with_name("harness.sql").read_text(encoding="utf-8")
DIGEST_KEY = b"k" * 32
SETTLE_TIMEOUT_S = 60.0

INSERT_CHANGE = (
    f"insert into ig.change ({REPLICATED_COLUMNS}) "
    f"select {REPLICATED_COLUMNS} from jsonb_populate_record(null::ig.change, $1)"
)
INSERT_SIGNAL = "insert into ig.signal select * from jsonb_populate_record(null::ig.signal, $1)"
APPEND = "select ig.append($1, $2, $3, $4, $5, $6)"
APPEND_MANY = "select ig.append_many($1, $2, $3, $4, $5, array(select jsonb_array_elements($6)))"

Json = Any

_NUMBERS = itertools.count(1)


def as_it_is(_file: str, text: str) -> str:
    return text


@functools.cache
def hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@dataclass(kw_only=True)
class Region:
    """One region's database: ``main`` for what happens one after another, the rest for what happens at once."""

    name: str
    main: asyncpg.Connection
    others: tuple[asyncpg.Connection, asyncpg.Connection]
    streams: tuple[asyncpg.Connection, asyncpg.Connection]
    watcher: asyncpg.Connection


class Cluster:
    """The regions, driven synchronously from outside a running event loop."""

    def __init__(self, scratch: Scratch, names: Sequence[str], schema: Callable[[str, str], str]) -> None:
        self._scratch = scratch
        self._schema = schema
        self._number = next(_NUMBERS)
        self._loop = asyncio.new_event_loop()
        self.histories = 0
        self.regions = {name: self.run(self._create(name, names)) for name in names}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        for region in self.regions.values():
            for connection in (region.main, *region.others, *region.streams, region.watcher):
                connection.terminate()
        self._loop.close()

    async def _connect(self, database: str, **settings: str) -> asyncpg.Connection:
        arguments = {**self._scratch.connect_arguments(), "database": database}
        connection = await asyncpg.connect(**arguments, server_settings={"statement_timeout": "10s", **settings})
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        return connection

    async def _create(self, name: str, names: Sequence[str]) -> Region:
        database = f"{name.replace('-', '_')}_{self._number}"
        admin = await self._connect("intelgraph")
        await admin.execute(f"create database {database}")
        await admin.close()
        main = await self._connect(database)
        for file, text in schema_files():
            await main.execute(self._schema(file, text))
        await main.execute(
            "insert into ig.region (name, life, schema_digest) values ($1, 1, $2)", name, schema_digest()
        )
        await install_schema(main, region=name, peers=[peer for peer in names if peer != name])
        await main.execute(HARNESS)
        stream = {"session_replication_role": "replica", "search_path": ""}
        return Region(
            name=name,
            main=main,
            others=(await self._connect(database), await self._connect(database)),
            streams=(await self._connect(database, **stream), await self._connect(database, **stream)),
            watcher=await self._connect(database),
        )

    # ------------------------------------------------------------------------------------ one history

    def begin(self) -> int:
        """Forget what the last history left in force; its rows stay, under names that are not used again."""
        self.histories += 1
        for region in self.regions.values():
            self.run(
                region.main.execute(
                    "update ig.region set reads = 1;"
                    "with p as (delete from ig.peer returning name) insert into ig.peer (name) select name from p;"
                    "delete from ig.placement; delete from ig.trouble; delete from harness.tap"
                )
            )
        return self.histories

    def ask(self, region: str, statement: str, *arguments: Any) -> Json:
        return self.run(self.regions[region].main.fetchval(statement, *arguments))

    def life(self, region: str) -> int:
        return int(self.ask(region, "select life from ig.region"))

    def new_life(self, region: str) -> None:
        self.run(begin_new_life(self.regions[region].main))

    def drain(self, region: str) -> list[Json]:
        """What was committed in a region since last asked, in order of commit."""
        return list(self.ask(region, "select harness.drain()"))

    def deliver(self, region: str, entry: Json) -> None:
        """Apply one row of a stream, as the apply worker does."""
        self.run(self._apply(self.regions[region].streams[0], entry))

    async def _apply(self, stream: asyncpg.Connection, entry: Json) -> None:
        statement = INSERT_CHANGE if entry["kind"] == "change" else INSERT_SIGNAL
        await stream.execute(statement, entry["content"])

    # ---------------------------------------------------------------------------------- several at once

    def deliver_at_once(self, region: str, first: Json, second: Json) -> None:
        """Apply a row of one stream while another stream's transaction with its row is still open."""
        self.run(self._deliver_at_once(self.regions[region], first, second))

    async def _deliver_at_once(self, region: Region, first: Json, second: Json) -> None:
        async with region.streams[0].transaction():
            await self._apply(region.streams[0], first)
            other = asyncio.ensure_future(self._apply(region.streams[1], second))
            await self._done_or_blocked(region, {other: region.streams[1]})
        await other

    def append_at_once(self, region: str, writes: Sequence[tuple[Any, ...]]) -> list[Json]:
        """Three appends: the first is committed when the second and then the third are done, or wait for it."""
        return list(self.run(self._append_at_once(self.regions[region], writes)))

    async def _append_at_once(self, region: Region, writes: Sequence[tuple[Any, ...]]) -> list[Json]:
        waiting: dict[asyncio.Future[Json], asyncpg.Connection] = {}
        async with region.main.transaction():
            answers = [await region.main.fetchval(APPEND, *writes[0])]
            for write, connection in zip(writes[1:], region.others, strict=True):
                waiting[asyncio.ensure_future(connection.fetchval(APPEND, *write))] = connection
                await self._done_or_blocked(region, waiting)
        return [*answers, *await asyncio.gather(*waiting)]

    def deliver_beside_append(self, region: str, write: tuple[Any, ...], entry: Json) -> Json:
        """Apply a row of a stream while an append is still open; returns the append's answer."""
        return self.run(self._deliver_beside_append(self.regions[region], write, entry))

    async def _deliver_beside_append(self, region: Region, write: tuple[Any, ...], entry: Json) -> Json:
        async with region.main.transaction():
            answer = await region.main.fetchval(APPEND, *write)
            other = asyncio.ensure_future(self._apply(region.streams[0], entry))
            await self._done_or_blocked(region, {other: region.streams[0]})
        await other
        return answer

    async def _done_or_blocked(self, region: Region, waiting: dict[asyncio.Future[Json], asyncpg.Connection]) -> None:
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < deadline:
            busy = [connection.get_server_pid() for answer, connection in waiting.items() if not answer.done()]
            blocked = await region.watcher.fetchval(
                "select count(*) from unnest($1::int[]) p where cardinality(pg_blocking_pids(p)) > 0", busy
            )
            if blocked == sum(not answer.done() for answer in waiting):
                return
            await asyncio.sleep(0.0005)
        raise TimeoutError("neither done nor waiting for a lock")


@contextlib.contextmanager
def server() -> Iterator[Scratch]:
    """Yield a server for any number of clusters; it tells the order of commits, which regions' servers need not."""
    with start_scratch(name="model", settings={"track_commit_timestamp": "on", "deadlock_timeout": "200ms"}) as scratch:
        yield scratch


@contextlib.contextmanager
def cluster(scratch: Scratch, names: Sequence[str], schema: Callable[[str, str], str] = as_it_is) -> Iterator[Cluster]:
    """Yield new databases of ``names`` with the log installed, each of its files passed through ``schema`` first."""
    made = Cluster(scratch, names, schema)
    try:
        yield made
    finally:
        made.close()
