"""``python -m bench.attacks NAME PORT TOKEN SECONDS``: one attack on one worker's memory, from a process of its own.

Every attack is of requests that are legal. What becomes of each is counted by status and printed as JSON at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp

OBJECTS, OBJECT_BYTES = 200, 700_000
"""What the attacker's tenant has: 140 MB."""
_LARGE_WRITE_BYTES, _LARGE_WRITES = 7_000_000, 12
_STREAMS, _UNREAD = 130, 60
_numbers = itertools.count()


class Attack:
    """Where it goes, and what was answered."""

    def __init__(self, port: int, token: str, session: aiohttp.ClientSession) -> None:
        self.port, self.token, self.session = port, token, session
        self.url = f"http://127.0.0.1:{port}"
        self.answers: Counter[str] = Counter()

    async def get(self, path: str) -> None:
        """Read, and throw the answer away as it comes."""
        async with self.session.get(self.url + path) as answer:
            await self._count(answer)

    async def ask(self, query: str) -> None:
        """Ask one document."""
        async with self.session.post(self.url + "/graphql", json={"query": query}) as answer:
            await self._count(answer)

    async def write(self, body: bytes) -> None:
        """Write operations."""
        headers = {"idempotency-key": f"attack-{id(self)}-{next(_numbers)}", "content-type": "application/json"}
        async with self.session.post(self.url + "/v1/changes", data=body, headers=headers) as answer:
            await self._count(answer)

    async def unread(self, path: str, accept: str) -> None:
        """Ask, and read nothing."""
        head = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.token}\r\naccept: {accept}\r\n\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024)
        try:
            writer.write(head.encode())
            await writer.drain()
            self.answers["sent"] += 1
            await asyncio.sleep(3600)
        finally:
            writer.transport.abort()

    async def _count(self, answer: aiohttp.ClientResponse) -> None:
        size = 0
        async for part in answer.content.iter_chunked(65_536):
            size += len(part)
        self.answers[str(answer.status)] += 1
        self.answers["bytes"] += size


def large_entity(number: int, size: int) -> bytes:
    """The body that writes one entity of so many bytes, which hardly compress."""
    text = "".join(f"{n * 2654435761 % 2**32:08x}" for n in range(number, number + size // 8))
    entity = {"id": f"large-{number:06}", "type": "file", "name": "large", "properties": {"text": text}}
    return json.dumps({"operations": [{"op": "upsert_entity", "entity": entity}]}).encode()


def _numbers_body() -> bytes:
    body = b'{"operations":[{"op":"upsert_entity","entity":{"id":"n","type":"t","name":"n","properties":{"a":[%b]}}}]}'
    return body % b",".join([b"1e63"] * 900_000)


def _document(number: int) -> str:
    fields = " ".join(f"a{number}_{n}: entity(id: {n}) {{ id name }}" for n in range(99))
    return f"query Q{number} {{ {fields} }}"


_LIST = "entities(first: 1000) { completeness next items { id properties } }"
_WRITES = [large_entity(n, _LARGE_WRITE_BYTES) for n in range(2)]

ATTACKS: dict[str, tuple[int, Callable[[Attack], Awaitable[None]]]] = {
    "pages of objects": (6, lambda a: a.get("/v1/entities?limit=1000")),
    "pages of changes": (6, lambda a: a.get("/v1/changes?limit=1000")),
    "one list of all": (6, lambda a: a.ask("{" + _LIST + "}")),
    "eight lists in a document": (6, lambda a: a.ask("{" + " ".join(f"a{n}: {_LIST}" for n in range(8)) + "}")),
    "pages that nobody reads": (_UNREAD, lambda a: a.unread("/v1/entities?limit=1000", "application/json")),
    "streams that nobody reads": (_STREAMS, lambda a: a.unread("/v1/changes", "text/event-stream")),
    "writes of 7 MB": (_LARGE_WRITES, lambda a: a.write(_WRITES[next(_numbers) % 2])),
    "numbers that grow": (3, lambda a: a.write(_numbers_body())),
    "documents, each a new one": (6, lambda a: a.ask(_document(next(_numbers)))),
}
"""How many at once, and what each does again and again."""


async def attack(name: str, port: int, token: str, seconds: float) -> Counter[str]:
    """Attack for so long."""
    at_once, once = ATTACKS[name]
    headers = {"authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
        attacker = Attack(port, token, session)

        async def again() -> None:
            while True:
                try:
                    await once(attacker)
                except (aiohttp.ClientError, OSError) as error:
                    attacker.answers[type(error).__name__] += 1
                    await asyncio.sleep(0.1)

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(again() for _ in range(at_once)))
        return attacker.answers


if __name__ == "__main__":
    found = asyncio.run(attack(sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
    print(json.dumps(found))
