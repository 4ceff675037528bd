"""One session with a region's own database, as its owner: one call at a time, made anew after whatever went wrong.

What must not wait for another's calls has a session of its own. What is asked does not belong here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

import asyncpg

from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.model.errors import retry, why_no_answer
from intelgraph.settings import Database


class Asking(Protocol):
    """A session with a region's database, as far as those need it who ask for one value at a time."""

    async def ask(self, statement: str, *arguments: object) -> Any:
        """Ask for one value."""
        ...


class Session(Asking, Protocol):
    """A session of one's own with a region's database."""

    def close(self) -> None:
        """End it until something is asked again."""
        ...


def took_too_long(error: Exception) -> bool:
    """Whether what a session raised means that the statement was not done in time: less might be."""
    return isinstance(error.__cause__, TimeoutError | asyncpg.QueryCanceledError)


class OwnSession:
    """A session that is made when something is asked; ``timeout_s`` bounds each call, ``session`` sets the server's."""

    def __init__(self, database: Database, *, region: str, timeout_s: float, session: Mapping[str, str]) -> None:
        self._database = database
        self._region = region
        self._timeout_s = timeout_s
        self._session = dict(session)
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def ask(self, statement: str, *arguments: object) -> Any:
        """Ask for one value; raises ``database_unavailable``."""
        async with self._turn:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._begin()
                return await self._connection.fetchval(statement, *arguments)
            except DRIVER_ERRORS as error:
                self.close()
                raise retry(
                    "database_unavailable",
                    f"the database of {self._region} does not answer its agent ({why_no_answer(error)})",
                    retry_after_s=0.5,
                ) from error
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the session, at once; what is asked next makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*DRIVER_ERRORS):
                connection.terminate()

    async def _begin(self) -> asyncpg.Connection:
        return await connect(
            self._database,
            timeout_s=self._timeout_s,
            statement_timeout_s=self._timeout_s,
            session=self._session,
        )
