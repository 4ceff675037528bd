"""The API's side of the region's PostgreSQL: every statement it may send, and what becomes of a failure.

Guarantees: driver exceptions stop here; an outage shorter than ``HOLD_S`` makes a call slower, not failed, because a
connection that broke is replaced and the call repeated (every call is a read or carries an idempotency key, so
repeating it is safe); no tenant has more than its share of the connections, or of the places of those that wait; values
reach the server as parameters and ``jsonb`` passes as bytes both ways, unparsed.

No statement here names a table: the role ``ig_api`` may execute the API's functions and read nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from intelgraph.api.database.errors import no_connection, no_schema, timed_out, translate, unavailable
from intelgraph.api.limits.outgoing import Outgoing
from intelgraph.api.limits.shares import Full, Shares, overloaded
from intelgraph.api.limits.slots import Slots
from intelgraph.api.policy import UnreadPolicy
from intelgraph.connection import driver_arguments
from intelgraph.model.errors import retry
from intelgraph.settings import ApiPolicy
from intelgraph.settings import Database as Login

APPEND = "select ig.append($1, $2, $3, $4, $5, $6)"
APPEND_AND_PLACE = "call ig.append_and_place($1, $2, $3, $4, $5, $6, null, null)"
APPEND_MANY = "select ig.append_many($1, $2, $3, $4, $5, $6)"
APPEND_MANY_AND_PLACE = "call ig.append_many_and_place($1, $2, $3, $4, $5, $6, null, null)"
UNLINK = "select ig.unlink($1, $2, $3, $4, $5)"
READ_ENTITY = "select ig.read_entity($1, $2, $3, $4)"
READ_PAGE = "select ig.read_page($1, $2, $3, $4, $5, $6)"
READ_CHANGES = "select ig.read_changes($1, $2, $3, $4)"
READ_SOME_CHANGES = "select ig.read_changes($1, $2, $3, $4, $5)"
KEY_ANSWER = "select ig.key_answer($1, $2, $3)"
READABLE = "select ig.readable(p, b) from unnest($1::text[], $2::text[]) with ordinality as t (p, b, n) order by n"
FEED_AT_WORK = "select coalesce(ig.feed_silent_s() < 2, false)"
"""A feed asks many times a second: one that has not for two seconds is not at work, whatever lock it holds."""
SCHEMA_IS_THERE = "select has_function_privilege('ig.append(text, bigint, text, text, bytea, jsonb)', 'execute')"
FEED_CHANNEL = "ig_feed"

HOLD_S = 3.0
_RETRY_PAUSE_S = 0.05
_WAITING_PER_CONNECTION = 50
LARGE_BYTES = 256 * 1024
"""A write of more is made in turn with what else is large."""
_TENANT_AT = {READ_ENTITY: 1, READ_PAGE: 1, READ_CHANGES: 1, READ_SOME_CHANGES: 1, KEY_ANSWER: 1}
"""Which of a read's arguments is the tenant."""
_WRITER_AT = 2
"""Which of an append's."""
_HEAVY = frozenset({READ_PAGE, READ_CHANGES})
_CONNECT_TIMEOUT_S = 2.0
_PROBE_S = 1.0
_WAITER_CONNECTIONS = 2

# The connection is gone, or the server is starting or stopping: the same call may succeed on another connection.
_BROKEN = (
    OSError,
    EOFError,
    asyncpg.PostgresConnectionError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,  # a connection that died in mid-exchange
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)

Action = Callable[[asyncpg.Connection], Awaitable[Any]]


class _NotConnected(Exception):
    """No connection was made in time: of this attempt nothing was sent."""


class Database:
    """A pool of connections as ``ig_api``, and calls on it that are repeated while the server is away."""

    def __init__(
        self,
        login: Login,
        policy: ApiPolicy,
        *,
        outgoing: Outgoing | None = None,
        on_retry: Callable[[], None] = lambda: None,
        on_full: Callable[[Full], None] = lambda _: None,
    ) -> None:
        self._login = login
        self._policy = policy
        self._on_retry = on_retry
        self._pool: asyncpg.Pool | None = None
        self._waiter_pool: asyncpg.Pool | None = None
        connections, wait_s = policy.pool_connections_max, policy.request_timeout_s
        self._slots = Slots(connections, wait_s=wait_s, each=min(connections, policy.tenant_connections_max))
        self._heavy = Slots(policy.heavy_max, wait_s=wait_s, each=1)
        self.outgoing = outgoing or Outgoing(UnreadPolicy())
        """What was read and lies here, since its clients have not taken it."""
        self._idle: list[Any] = []
        """Connections of the pool that are ready for the next call: to give one back and take it again is dear."""
        self.waiting_max = connections * _WAITING_PER_CONNECTION
        self.waiting_of_tenant_max = self.waiting_max // 2
        self._waiting = Shares(most=self.waiting_max, each=self.waiting_of_tenant_max, on_full=on_full)

    async def start(self) -> None:
        """Make the pools; connections are made when they are needed, so the server may be away."""
        self._pool = await self._make_pool(self._policy.pool_connections_max)
        self._waiter_pool = await self._make_pool(_WAITER_CONNECTIONS)

    async def stop(self) -> None:
        """End every connection."""
        for pool in (self._pool, self._waiter_pool):
            if pool is not None:
                pool.terminate()

    @property
    def waiter_pool(self) -> asyncpg.Pool:
        """For the standby's waiter, which may hold one for long, and the probe: neither queues behind requests."""
        assert self._waiter_pool is not None
        return self._waiter_pool

    async def probe(self) -> bool:
        """Say whether a feed is at work; raises ``database_unavailable`` when the API's functions cannot be called."""
        assert self._waiter_pool is not None
        try:
            async with asyncio.timeout(_PROBE_S), self._waiter_pool.acquire() as connection:
                if not await connection.fetchval(SCHEMA_IS_THERE):
                    raise no_schema()
                return bool(await connection.fetchval(FEED_AT_WORK))
        except (*_BROKEN, asyncpg.InterfaceError) as error:
            raise unavailable(error) from None
        except asyncpg.PostgresError as error:
            raise translate(error) from None

    async def _make_pool(self, connections_max: int) -> asyncpg.Pool:
        return await asyncpg.create_pool(
            **driver_arguments(self._login),
            min_size=0,
            max_size=connections_max,
            max_inactive_connection_lifetime=0,
            init=_prepare,
            reset=_keep_session,
            timeout=_CONNECT_TIMEOUT_S,
            command_timeout=self._policy.request_timeout_s,
            server_settings={
                "application_name": "ig-api",
                "statement_timeout": str(int(self._policy.request_timeout_s * 1000)),
                "jit": "off",
                "plan_cache_mode": "force_generic_plan",
            },
        )

    async def call(self, statement: str, *arguments: object) -> bytes:
        """Return the ``jsonb`` that a one-row statement answers, as bytes."""
        at = _TENANT_AT.get(statement)
        whose = "" if at is None else str(arguments[at])
        action: Action = lambda connection: connection.fetchval(statement, *arguments)  # noqa: E731
        if self.outgoing.is_full(whose):
            await self.outgoing.room(whose)
        answer = await self._repeat(action, whose, heavy=statement in _HEAVY, writes=statement == UNLINK)
        return answer if isinstance(answer, bytes) else b"null"

    async def append(self, *arguments: object) -> bytes:
        """Append; return the answer's ``jsonb``."""
        action: Action = lambda connection: connection.fetchval(APPEND, *arguments)  # noqa: E731
        answer: bytes = await self._repeat(action, str(arguments[_WRITER_AT]), writes=True)
        return answer

    async def append_many(self, *arguments: object) -> list[bytes]:
        """Append several requests in one transaction; return each one's ``jsonb``."""
        answers: list[bytes] = await self._repeat(
            lambda connection: connection.fetchval(APPEND_MANY, *arguments), writes=True
        )
        return answers

    async def append_many_and_place(self, *arguments: object) -> tuple[list[bytes], str]:
        """The same, committed, and the server's flush position read after the commit."""
        row = await self._repeat(lambda connection: connection.fetchrow(APPEND_MANY_AND_PLACE, *arguments), writes=True)
        return row["answers"], row["flushed"]

    async def append_and_place(self, *arguments: object) -> tuple[bytes, str]:
        """Append and commit; return the answer's ``jsonb``, and the server's flush position read after the commit."""
        action: Action = lambda connection: connection.fetchrow(APPEND_AND_PLACE, *arguments)  # noqa: E731
        row = await self._repeat(action, str(arguments[_WRITER_AT]), writes=True)
        return row["answer"], row["flushed"]

    async def query(
        self, statement: str, tenant: str, *arguments: object, heavy: bool = False
    ) -> tuple[bytes, str | None]:
        """Run a compiled query; return what ``ig.readable`` says as ``jsonb``, and the data's JSON."""
        action: Action = lambda connection: connection.fetchrow(statement, tenant, *arguments)  # noqa: E731
        if self.outgoing.is_full(tenant):
            await self.outgoing.room(tenant)
        row = await self._repeat(action, tenant, heavy=heavy)
        return row[0], row[1]

    async def query_many(self, statement: str, tenant: str, *arguments: object) -> tuple[bytes, list[str] | None]:
        """Run a query compiled for many requests; return what ``ig.readable`` says, and each one's data."""
        action: Action = lambda connection: connection.fetchrow(statement, tenant, *arguments)  # noqa: E731
        if self.outgoing.is_full(tenant):
            await self.outgoing.room(tenant)
        row = await self._repeat(action, tenant)
        return row[0], row[1]

    async def call_many(self, statement: str, *arguments: object) -> list[bytes]:
        """Return the ``jsonb`` of each row that a statement answers."""
        rows = await self._repeat(lambda connection: connection.fetch(statement, *arguments))
        return [row[0] for row in rows]

    async def listen(self, on_notice: Callable[[], None]) -> asyncpg.Connection:
        """Open a connection of its own that calls ``on_notice`` whenever the feed says that something is new."""
        connection = await asyncpg.connect(**driver_arguments(self._login), timeout=_CONNECT_TIMEOUT_S)
        await connection.add_listener(FEED_CHANNEL, lambda *_: on_notice())
        return connection

    async def _repeat(self, action: Action, whose: str = "", *, heavy: bool = False, writes: bool = False) -> Any:
        full = self._waiting.take(whose)
        if full is not None:
            raise overloaded(full)
        try:
            if not heavy:
                return await self._attempts(action, whose, time.monotonic() + HOLD_S, writes=writes)
            async with self.large(whose):
                return await self._attempts(action, whose, time.monotonic() + HOLD_S, writes=writes)
        finally:
            self._waiting.give(whose)

    @contextlib.asynccontextmanager
    async def large(self, whose: str) -> AsyncIterator[None]:
        """Have the turn of what may be large; refuses with ``overloaded`` who waits too long for it."""
        await self._turn(self._heavy, whose)
        try:
            yield
        finally:
            self._heavy.give(whose)

    async def _turn(self, slots: Slots, whose: str) -> None:
        if slots.take_now(whose):
            return
        try:
            await slots.take(whose)
        except TimeoutError:
            raise retry(
                "overloaded",
                f"the request is refused: it waited {self._policy.request_timeout_s:g} s for its turn at the database",
                retry_after_s=1.0,
            ) from None

    async def _attempts(self, action: Action, whose: str, until: float, *, writes: bool) -> Any:
        assert self._pool is not None
        sent = False
        while True:
            try:
                return await self._on_a_connection(action, whose)
            except _NotConnected as error:
                if time.monotonic() >= until:
                    raise (unavailable(error, writes=writes) if sent else no_connection(HOLD_S)) from None
                self._on_retry()
            except _BROKEN as error:
                if isinstance(error, TimeoutError):
                    raise timed_out(self._policy.request_timeout_s, writes=writes) from None
                sent = True
                if time.monotonic() >= until:
                    raise unavailable(error, writes=writes) from None
                self._on_retry()
                await asyncio.sleep(_RETRY_PAUSE_S)
            except asyncpg.InterfaceError as error:
                # The pool replaces a connection that broke between two uses of it.
                if time.monotonic() >= until:
                    raise unavailable(error, writes=writes) from None
                await asyncio.sleep(_RETRY_PAUSE_S)
            except asyncpg.QueryCanceledError as error:
                raise timed_out(self._policy.request_timeout_s, writes=writes, sqlstate=error.sqlstate) from None
            except asyncpg.PostgresError as error:
                raise translate(error, writes=writes) from None

    async def _on_a_connection(self, action: Action, whose: str) -> Any:
        """Act on the connection that was used last; one on which anything failed goes back for the pool to judge."""
        if not self._slots.take_now(whose):
            await self._turn(self._slots, whose)
        try:
            connection = await self._connection()
            try:
                answer = await action(connection)
            except BaseException:
                assert self._pool is not None
                await self._pool.release(connection)
                raise
            self._idle.append(connection)
            return answer
        finally:
            self._slots.give(whose)

    async def _connection(self) -> Any:
        assert self._pool is not None
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            await self._pool.release(connection)
        try:
            return await self._pool.acquire(timeout=self._policy.request_timeout_s)
        except TimeoutError:
            raise _NotConnected from None


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
    )


async def _keep_session(connection: asyncpg.Connection) -> None:
    """Nothing here changes a session, so nothing needs to be reset: one round trip less a call."""


def _to_jsonb(value: bytes) -> bytes:
    return b"\x01" + value


def _from_jsonb(value: Sequence[int]) -> bytes:
    return bytes(value[1:])
