"""A database that takes connections and says nothing: a short silence is waited for, a long one is told as it was."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from intelgraph.api.database import database as module
from intelgraph.api.database.database import READ_ENTITY, Database
from intelgraph.api.write.attempts import may_have_written
from intelgraph.model.errors import TransientError
from intelgraph.settings import ApiPolicy
from intelgraph.settings import Database as Login


def test_a_connection_that_is_not_made_in_time_is_tried_again_for_as_long_as_one_that_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(module, "HOLD_S", 0.5)
    taken = []

    async def story() -> TransientError:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            taken.append(writer)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        login = Login(host="127.0.0.1", port=server.sockets[0].getsockname()[1], user="u", password="p")
        database = Database(login, ApiPolicy())
        await database.start()
        try:
            with pytest.raises(TransientError) as refused:
                await database.call(READ_ENTITY, "both", "acme", "id", None)
            return refused.value
        finally:
            await database.stop()
            server.close()

    began_s = time.monotonic()
    told = asyncio.run(story())
    assert time.monotonic() - began_s >= 0.5
    assert len(taken) > 1
    assert told.denied.code == "database_unavailable"
    assert "10 s" not in told.denied.reason


def test_what_was_sent_before_no_more_connection_was_made_may_have_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD_S", 0.1)

    class Broken:
        async def fetchval(self, *_: Any) -> bytes:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    class Pool:
        """The server goes away while it commits, and comes back as one that says nothing."""

        given = 0

        async def acquire(self, *, timeout: float) -> Broken:  # noqa: ASYNC109 (the driver's own signature)
            self.given += 1
            if self.given > 1:
                raise TimeoutError
            return Broken()

        async def release(self, _: Broken) -> None:
            pass

    async def story() -> TransientError:
        database = Database(Login(host="", port=1, user="u", password="p"), ApiPolicy())
        database._pool = Pool()
        with pytest.raises(TransientError) as refused:
            await database.append("both", 1, "acme", "key", b"", b"[]")
        return refused.value

    assert may_have_written(asyncio.run(story()))
