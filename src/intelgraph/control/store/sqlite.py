"""The control store of one machine: a SQLite file in WAL mode, shared by every process of the fleet.

Each operation runs on the store's own thread with its own connection, so the event loop never waits for a file lock.
``synchronous = FULL``: an epoch that was raised stays raised after a power cut. A watch polls ``PRAGMA data_version``
on a connection of its own (that number moves only for commits of *other* connections), which costs microseconds. A file
that was deleted, replaced or overwritten is told as unavailable, or read anew.

What a shared file cannot do is be partitioned; that is etcd's part.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from intelgraph.control.store.protocol import ABSENT, WATCH_HEARTBEAT_S, Change, Entry, Snapshot, made_anew
from intelgraph.model.errors import TransientError, retry

T = TypeVar("T")

POLL_S = 0.05
BUSY_TIMEOUT_S = 5.0
_AFTER_ALL = "\U0010ffff"  # sorts after every key that could follow a prefix


class SqliteControlStore:
    """A ``ControlStore`` in one file; made when it is not there."""

    def __init__(self, path: Path, *, poll_s: float = POLL_S) -> None:
        self._path = path
        self._poll_s = poll_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="control-store")
        self._file = _File(path)
        self._closed = asyncio.Event()

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        """Read keys and a prefix from one instant; see ``ControlStore.read``."""
        return await self._run(lambda connection: _read(connection, keys, prefix))

    async def compare_and_set(self, *, expected: Mapping[str, int], writes: Mapping[str, bytes | None]) -> bool:
        """Write several keys if all have the expected versions; see ``ControlStore.compare_and_set``."""
        unread = writes.keys() - expected.keys()
        if unread:
            raise ValueError(f"keys are written without an expected version: {sorted(unread)}")
        return await self._run(lambda connection: _compare_and_set(connection, expected, writes))

    async def watch(self, prefix: str, *, since: int) -> AsyncIterator[Change]:
        """Yield later writes under ``prefix``; see ``ControlStore.watch``."""
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="control-watch")
        watcher = _Watcher(self._path, prefix, since)
        quiet_since = time.monotonic()
        stirred = _Stirred(self._path)
        try:
            while not self._closed.is_set():
                is_due = time.monotonic() - quiet_since >= WATCH_HEARTBEAT_S / 2
                if stirred.since_last() or is_due:
                    with _unavailable(self._path):
                        change = await loop.run_in_executor(thread, watcher.poll)
                    if change.entries or is_due:
                        quiet_since = time.monotonic()
                        yield change
                await asyncio.sleep(self._poll_s)
        finally:
            thread.submit(watcher.close)
            thread.shutdown(wait=False)

    async def close(self) -> None:
        """End the watches and close the file; closing again does nothing."""
        if self._closed.is_set():
            return
        self._closed.set()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown(wait=False)

    async def _run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        def attempt() -> T:
            return operation(self._file.connection())

        if self._closed.is_set():
            raise unavailable(f"the control store {self._path} is closed")
        with _unavailable(self._path):
            return await asyncio.get_running_loop().run_in_executor(self._thread, attempt)


class _File:
    """The file that is at a path *now*, and a connection to it; used on one thread.

    SQLite reads a file that was deleted or replaced as if nothing had happened, and answers from the pages it remembers
    when the file is no database any more. Neither may pass for the directory of tenants.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None

    def connection(self) -> sqlite3.Connection:
        """Return the connection, opened anew if the file is another one, that has forgotten what it read before."""
        if self._connection is None or self._identity != self._identity_now():
            self.close()
            self._connection = _connect(self._path)
            self._identity = self._identity_now()
        self._connection.execute("pragma shrink_memory")
        return self._connection

    def close(self) -> None:
        """Close the connection; closing again does nothing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _identity_now(self) -> tuple[int, int]:
        file = self._path.stat()
        return file.st_dev, file.st_ino


class _Stirred:
    """Whether a store may have been written since it was asked last, as its files look: no thread, no lock.

    Times of files are as coarse as the system's ticks, so a change is told twice: what was written in the same tick
    after the first look is there at the second.
    """

    def __init__(self, path: Path) -> None:
        self._paths = (path, path.with_name(path.name + "-wal"))
        self._seen: tuple[tuple[int, ...] | None, ...] = ()
        self._owed = 0

    def since_last(self) -> bool:
        """Whether it is worth a look now."""
        now = tuple(_look_of(path) for path in self._paths)
        if now != self._seen or now[0] is None:
            self._seen, self._owed = now, 2
        self._owed = max(self._owed - 1, -1)
        return self._owed >= 0


def _look_of(path: Path) -> tuple[int, ...] | None:
    try:
        file = path.stat()
    except OSError:
        return None
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns


class _Watcher:
    """One watch's connection and how far it has read; used on one thread."""

    def __init__(self, path: Path, prefix: str, since: int) -> None:
        self._file = _File(path)
        self._prefix = prefix
        self._revision = since
        self._seen: tuple[sqlite3.Connection, int] | None = None

    def poll(self) -> Change:
        """Report what was written since the last poll."""
        connection = self._file.connection()
        _revision(connection)
        (version,) = connection.execute("pragma data_version").fetchone()
        entries: tuple[Entry, ...] = ()
        if (connection, version) != self._seen:
            with _transaction(connection, "deferred"):
                revision = _revision(connection)
                if revision < self._revision:
                    raise made_anew()
                entries = tuple(_written_since(connection, self._prefix, self._revision))
            self._revision, self._seen = revision, (connection, version)
        return Change(revision=self._revision, entries=entries)

    def close(self) -> None:
        """Close the connection."""
        self._file.close()


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.execute("pragma synchronous = full")
    if connection.execute("select 1 from sqlite_schema where name = 'store'").fetchone() is None:
        connection.execute("pragma journal_mode = wal")
        connection.executescript(files("intelgraph.control.store").joinpath("schema.sql").read_text("utf-8"))
    return connection


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"begin {kind}")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


@contextlib.contextmanager
def _unavailable(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise unavailable(f"the control store {path} cannot be read or written: {error}") from error


def unavailable(reason: str) -> TransientError:
    """Build the error of a store that cannot be reached."""
    return retry("control_store_unavailable", reason, retry_after_s=1.0)


def _revision(connection: sqlite3.Connection) -> int:
    return int(connection.execute("select revision from store").fetchone()[0])


def _entry(row: tuple[str, bytes | None, int]) -> Entry:
    key, value, revision = row
    return Entry(key=key, value=value, version=ABSENT if value is None else revision)


def _read(connection: sqlite3.Connection, keys: Sequence[str], prefix: str | None) -> Snapshot:
    entries = {key: Entry(key=key, value=None, version=ABSENT) for key in keys}
    with _transaction(connection, "deferred"):
        revision = _revision(connection)
        for key in keys:
            row = connection.execute("select key, value, revision from entry where key = ?", (key,)).fetchone()
            if row is not None:
                entries[key] = _entry(row)
        if prefix is not None:
            entries |= {entry.key: entry for entry in _present(connection, prefix)}
    return Snapshot(revision=revision, entries=entries)


def _present(connection: sqlite3.Connection, prefix: str) -> list[Entry]:
    """Read a prefix by the key's own order: what else the store holds costs nothing."""
    rows = connection.execute(
        "select key, value, revision from entry where key >= ? and key < ? and value is not null order by key",
        (prefix, prefix + _AFTER_ALL),
    )
    return [_entry(row) for row in rows]


def _written_since(connection: sqlite3.Connection, prefix: str, revision: int) -> list[Entry]:
    rows = connection.execute(
        "select key, value, revision from entry where revision > ? and substr(key, 1, ?) = ? order by revision, key",
        (revision, len(prefix), prefix),
    )
    return [_entry(row) for row in rows]


def _compare_and_set(
    connection: sqlite3.Connection, expected: Mapping[str, int], writes: Mapping[str, bytes | None]
) -> bool:
    with _transaction(connection, "immediate"):
        for key, version in expected.items():
            row = connection.execute("select key, value, revision from entry where key = ?", (key,)).fetchone()
            if (ABSENT if row is None else _entry(row).version) != version:
                return False
        revision = _revision(connection) + 1
        connection.execute("update store set revision = ?", (revision,))
        connection.executemany(
            "insert into entry (key, value, revision) values (?, ?, ?) "
            "on conflict (key) do update set value = excluded.value, revision = excluded.revision",
            [(key, value, revision) for key, value in writes.items()],
        )
    return True
