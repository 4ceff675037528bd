"""One region's database and the streams that feed it, played by hand: rows are inserted as an apply worker inserts
them (always-firing triggers only, empty search path, published columns), so that any row can arrive in any order, as
malformed as a test likes, and transactions of several streams can be held open side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg

from bench.scratch import Scratch, start_scratch
from intelgraph.changelog.install import install_schema
from intelgraph.changelog.links import REPLICATED_COLUMNS
from tests.machine import WAIT_S

HERE, PEERS = "eu-west", ["us-east", "eu-central"]
REGIONS = ["us-east", "eu-west", "eu-central"]
KEY = b"k" * 32
TEMPLATE = "installed"
Json = Any
_numbers = itertools.count(1)

INSERT_CHANGE = (
    f"insert into ig.change ({REPLICATED_COLUMNS}) "
    f"select {REPLICATED_COLUMNS} from jsonb_populate_record(null::ig.change, $1)"
)
INSERT_SIGNAL = "insert into ig.signal (origin, destination, kind, body) values ($1, $2, $3, $4)"


class Lone:
    """The database of ``eu-west``: ``main`` belongs to its owner, ``stream()`` to another region's apply worker."""

    def __init__(self, server: Scratch, database: str, stack: contextlib.AsyncExitStack) -> None:
        self.server, self.database, self._stack = server, database, stack
        self.main: asyncpg.Connection
        self.keys = itertools.count(1)

    async def connect(self, role: str = "ig_admin", **settings: str) -> asyncpg.Connection:
        arguments = {**self.server.connect_arguments(role), "database": self.database}
        connection = await asyncpg.connect(**arguments, command_timeout=WAIT_S, server_settings=settings)
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        self._stack.callback(connection.terminate)
        return connection

    async def stream(self) -> asyncpg.Connection:
        return await self.connect(session_replication_role="replica", search_path="", deadlock_timeout="200ms")

    async def ask(self, statement: str, *values: Any) -> Json:
        return await self.main.fetchval(statement, *values)

    async def open(self, epoch: int, placement: str = "p", regions: list[str] = REGIONS, force: bool = False) -> Json:
        return await self.ask(
            "select ig.open($1, $2, $3, $4, null, 'home', $5, $6)", placement, epoch, HERE, regions, KEY, force
        )

    async def append(self, epoch: int, *operations: Json, **at: Any) -> Json:
        connection = at.get("on", self.main)
        return await connection.fetchval(
            "select ig.append($1, $2, $3, $4, $5, $6)",
            at.get("placement", "p"), epoch, at.get("tenant", "t"), at.get("key", f"key-{next(self.keys)}"),
            at.get("request", b"r" * 32), list(operations),
        )  # fmt: skip

    async def apply(self, row: Json, on: asyncpg.Connection | None = None) -> None:
        await (on or await self.stream()).execute(INSERT_CHANGE, row)

    async def signal(self, origin: str, kind: str, body: Json, on: asyncpg.Connection | None = None) -> None:
        await (on or await self.stream()).execute(INSERT_SIGNAL, origin, HERE, kind, body)

    async def settle(self, origin: str, position: int, life: int = 1) -> None:
        """Let a mark of another region say how far it is settled."""
        number = await self.ask("select coalesce(got, 0) + 1 from ig.peer where name = $1", origin)
        body = {"life": life, "reads": 1, "number": number, "token_ns": None, "settled": [[life, position]]}
        await self.signal(origin, "mark", body)

    async def status(self, row: Json) -> str | None:
        status: str | None = await self.ask(
            "select status from ig.change where origin = $1 and life = $2 and position = $3",
            row["origin"], row["life"], row["position"],
        )  # fmt: skip
        return status

    async def entity(self, entity_id: str, placement: str = "p", bookmark: str | None = None) -> Json:
        return await self.ask("select ig.read_entity($1, 't', $2, $3)", placement, entity_id, bookmark)

    async def changes(self, after: str | None = None, most: int = 100) -> Json:
        return await self.ask("select ig.read_changes('p', 't', $1, $2)", after, most)

    async def blocked(self, connection: asyncpg.Connection) -> None:
        """Wait until a connection's statement waits for a lock."""
        deadline = time.monotonic() + WAIT_S
        while not await self.ask("select cardinality(pg_blocking_pids($1)) > 0", connection.get_server_pid()):
            assert time.monotonic() < deadline, "the statement never waited for a lock"
            await asyncio.sleep(0.005)


def write(position: int, *objects: Json, **fields: Any) -> Json:
    """A row as ``us-east`` would send it."""
    tenant = fields.get("tenant", "t")
    row = {
        "origin": "us-east", "life": 1, "position": position, "placement": "p", "epoch": 1, "version": 1,
        "kind": "write", "tenant": tenant, "key_hash": f"\\x{position:064x}", "request_hash": "\\x00",
        "replicate_to": REGIONS, "touches": [], "body": {"objects": list(objects)},
        "digest": f"\\x{position * 7919:032x}", "written_at": "2024-05-06T07:08:09Z",
    }  # fmt: skip
    return {**row, **fields}


def opening(position: int, epoch: int = 1, regions: list[str] = REGIONS, **fields: Any) -> Json:
    """An `open` as another region would send it; ``cut`` is a list of (origin, life, multirange)."""
    cut = [{"origin": o, "life": n, "held": held} for o, n, held in fields.pop("cut", [])]
    origin = fields.get("origin", "us-east")
    body = {"home": origin, "regions": regions, "standby": None, "durability": "home", "digest_key": "6b", "cut": cut}
    return write(position, kind="open", epoch=epoch, tenant=None, key_hash=None, request_hash=None,
                 **{"body": body, **fields})  # fmt: skip


def entity(entity_id: str, name: str = "n", revision: int = 1, **fields: Any) -> Json:
    stamp = "2024-05-06T07:08:09.000000Z"
    return {
        "kind": "entity", "id": entity_id, "type": "malware", "name": name, "properties": {}, "confidence": None,
        "valid_from": None, "valid_until": None, "sources": [], "created": stamp, "updated": stamp,
        "revision": revision, **fields,
    }  # fmt: skip


def relation(relationship_id: str, source: str, target: str, revision: int = 1) -> Json:
    found = entity(relationship_id, revision=revision, kind="relationship", source=source, target=target, type="uses")
    del found["name"]
    return found


def upsert(entity_id: str, name: str = "n", **fields: Any) -> Json:
    return {"op": "upsert_entity", "entity": {"id": entity_id, "type": "malware", "name": name, **fields}}


def touched(connection: Lone, row: Json) -> Any:
    """The row with the touches that its objects have."""

    async def fill() -> Json:
        hashes = []
        for item in row["body"]["objects"]:
            kinds = ["entity", "relationship"] if item["kind"] == "erased" else [item["kind"]]
            for kind in kinds:
                hashes.append(await connection.ask("select ig.touch($1, $2, $3)", row["tenant"], kind, item["id"]))
        return {**row, "touches": hashes}

    return fill()


@contextlib.contextmanager
def lone_server() -> Iterator[Scratch]:
    """A server with an installed database to make others from; what its plans know is what a test has it analyze."""
    settings = {"deadlock_timeout": "200ms", "autovacuum": "off"}
    with start_scratch(name="lone", settings=settings) as server:

        async def install() -> None:
            admin = await asyncpg.connect(**server.connect_arguments())
            await admin.execute(f"create database {TEMPLATE}")
            await admin.close()
            owner = await asyncpg.connect(**{**server.connect_arguments(), "database": TEMPLATE})
            await install_schema(owner, region=HERE, peers=PEERS)
            await owner.execute(f"revoke all on database {TEMPLATE} from public")
            await owner.close()

        asyncio.run(install())
        yield server


@contextlib.asynccontextmanager
async def lone(server: Scratch) -> AsyncIterator[Lone]:
    """A fresh database for one test."""
    name = f"lone{next(_numbers)}"
    admin = await asyncpg.connect(**server.connect_arguments())
    await admin.execute(f"create database {name} template {TEMPLATE}")
    await admin.execute(
        f"revoke all on database {name} from public; grant connect on database {name} to ig_api, ig_peer"
    )
    async with contextlib.AsyncExitStack() as stack:
        made = Lone(server, name, stack)
        made.main = await made.connect()
        yield made
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()
