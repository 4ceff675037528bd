"""What a failure of the region's database means to a client: which of our errors, and in which words. Pure.

A server's own message may hold data, so clients see its SQLSTATE only. No error claims that a write which was sent did
not happen.
"""

from __future__ import annotations

import asyncpg

from intelgraph.graph.engines.postgres.weight import ANSWER_BYTES_MAX
from intelgraph.model.errors import Denied, Fact, TransientError, refuse, retry

_TOO_LARGE = {
    "IG413": f"the read is refused: its answer would have more than {ANSWER_BYTES_MAX} bytes; ask for fewer objects at "
    "a time, or for fewer of their fields",
    "IG414": "the read is refused: a list in its answer would end before its time, because of its bytes, and nothing "
    "would say so; ask for completeness and next, and go on page by page",
}
"""What the functions that count an answer's bytes raise."""
_WHOEVERS = frozenset({"database_unavailable", "read_timed_out", "overloaded"})
_WHOEVERS_STATES = ("08", "53", "57")
"""Classes of SQLSTATE: the connection broke, a resource is used up, an operator has intervened."""


def translate(error: asyncpg.PostgresError, *, writes: bool = False) -> Exception:
    """Turn what the server refused into an error of ours; its message may hold data and is left out."""
    state = error.sqlstate or "?"
    if state in _TOO_LARGE:
        return refuse("answer_too_large", _TOO_LARGE[state], limit=ANSWER_BYTES_MAX)
    if state[:2] in ("22", "23", "54"):
        return refuse(
            "bad_request",
            f"the request is refused: the database cannot hold a value in it (SQLSTATE {state})",
            sqlstate=state,
        )
    if state == "55P03":
        return retry(
            "overloaded", "the request is refused: it waited too long for a lock", retry_after_s=1.0, sqlstate=state
        )
    if state[:2] == "53":
        return retry(
            "overloaded",
            f"the request is refused: the database is out of a resource (SQLSTATE {state})",
            retry_after_s=1.0,
            sqlstate=state,
        )
    if state == "3F000":
        return no_schema()
    if state[:2] == "42":  # what we ask is wrong, or we may not ask it: no client can do anything about it
        return RuntimeError(f"the database refuses a statement of ours (SQLSTATE {state})")
    return unavailable(error, writes=writes)


def is_whoevers(denied: Denied) -> bool:
    """Whether the database fails so whoever asks: it is away or busy, and what was asked is not to blame."""
    return denied.code in _WHOEVERS and str(denied.facts.get("sqlstate", "57"))[:2] in _WHOEVERS_STATES


def no_schema() -> TransientError:
    """Build the error of a database in which the log is not installed."""
    return retry(
        "database_unavailable",
        "the request cannot be served: the log's schema is not installed in the region's database, or not for the API",
        retry_after_s=1.0,
    )


def no_connection(timeout_s: float) -> TransientError:
    """Build the error of a call that was never made."""
    return retry(
        "database_unavailable",
        f"the request cannot be served: no connection to the region's database was made within {timeout_s:g} s; "
        "nothing was sent to it",
        retry_after_s=1.0,
        sent=False,
    )


def timed_out(limit_s: float, *, writes: bool, sqlstate: str | None = None) -> TransientError:
    """Build the error of a statement that was given up: what it asked for may be too much, or the database too busy."""
    state: dict[str, Fact] = {"sqlstate": sqlstate} if sqlstate else {}
    if not writes:
        return retry(
            "read_timed_out",
            f"the read is given up: it took longer than {limit_s:g} s, the limit; nothing was changed. Ask for "
            "less at a time, or again later",
            retry_after_s=5.0,
            limit_s=limit_s,
            **state,
        )
    return retry(
        "write_timed_out",
        f"the write is given up: it took longer than {limit_s:g} s, the limit; whether it happened is not known: "
        "repeat it with the same Idempotency-Key",
        retry_after_s=1.0,
        limit_s=limit_s,
        **state,
    )


def unavailable(error: BaseException, *, writes: bool = False) -> TransientError:
    """Build the error of a database that cannot answer."""
    state = getattr(error, "sqlstate", None)
    why = f"SQLSTATE {state}" if state else "the connection broke"
    what = (
        f"the write has no outcome: the region's database does not answer ({why}); it may have happened: repeat it "
        "with the same Idempotency-Key"
        if writes
        else f"the read cannot be served: the region's database does not answer ({why}); nothing was changed"
    )
    return retry("database_unavailable", what, retry_after_s=1.0, **({"sqlstate": state} if state else {}))
