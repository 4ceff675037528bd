"""What people are told when somebody did not answer: clauses, no names of classes, nothing of what a tenant wrote."""

from __future__ import annotations

import errno

import aiohttp
import asyncpg
import pytest
from aiohttp.client_reqrep import ConnectionKey

from intelgraph.model.errors import why_no_answer

_KEY = ConnectionKey("127.0.0.1", 1, False, True, None, None, None)
_TENANTS = "duplicate key value: a tenant's words"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (aiohttp.ClientConnectorError(_KEY, ConnectionRefusedError(111, "Connect call failed")), "connection refused"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "nobody listens there"),
        (ConnectionResetError(), "the connection broke off"),
        (aiohttp.ServerDisconnectedError(), "server disconnected"),
        (TimeoutError(), "no answer in time"),
        (aiohttp.ServerTimeoutError(), "no answer in time"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (asyncpg.CannotConnectNowError("the database system is starting up"), "cannot connect now, SQLSTATE 57P03"),
        (asyncpg.UniqueViolationError(_TENANTS), "unique violation, SQLSTATE 23505"),
        (asyncpg.InterfaceError("connection is closed"), "the connection was closed"),
        (Exception(_TENANTS), "exception"),
    ],
)
def test_why_nobody_answered_is_a_clause(error: Exception, said: str) -> None:
    assert why_no_answer(error) == said
