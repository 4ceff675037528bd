"""A real PostgreSQL for the length of a ``with`` block: for tests, benchmarks and trying things out.

It has the settings and roles of a region's server but flushes nothing to disk, and nothing of it is left afterwards.
Works inside and outside a running event loop, and as root.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intelgraph.connection import driver_arguments
from intelgraph.fleet.layout.binaries import can_reach, server_account
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.fleet.postgres import server as postgres
from intelgraph.model.errors import refuse
from intelgraph.settings import Database

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 8 << 30
_one_at_a_time = threading.Lock()
_patterns: dict[int, Path] = {}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


@dataclass(kw_only=True)
class Scratch:
    """A running server. ``stop`` and ``start`` make an outage; ``kill`` makes a crash."""

    server: postgres.Server
    _process: subprocess.Popen[bytes] | None = None

    def login(self, role: str = postgres.ADMIN) -> Database:
        """How a role logs in."""
        return self.server.login(role)

    def connect_arguments(self, role: str = postgres.ADMIN) -> dict[str, Any]:
        """The keyword arguments of ``asyncpg.connect`` and ``asyncpg.create_pool`` for a role."""
        return driver_arguments(self.server.login(role))

    def dsn(self, role: str = postgres.ADMIN) -> str:
        """A connection string for a role over TCP, as subscriptions and command-line programs take it."""
        login = self.server.login(role, host="127.0.0.1")
        return f"postgresql://{login.user}:{login.password}@{login.host}:{login.port}/{login.database}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process else None

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.server.directory / "server.log"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        account = server_account()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                postgres.command(self.server),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.server.directory,
                env=postgres.server_environment(),
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not postgres.says_ready(self.server, self._process.pid):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:]
                self.kill()
                raise refuse("postgres_not_ready", f"the scratch PostgreSQL did not start: {' / '.join(said)}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Shut down in an orderly way, ending open sessions."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Crash: end the server and all its sessions at once, without a word to the disk."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for wanted in (how, signal.SIGQUIT, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(wanted)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT_S)
                return


@contextlib.contextmanager
def start_scratch(
    directory: Path | None = None,
    *,
    name: str = "scratch",
    settings: Mapping[str, str] | None = None,
    durable: bool = False,
) -> Iterator[Scratch]:
    """Yield a running server with the region's roles and an empty database ``intelgraph``.

    The first one of a process is created (about 1.2 s); the others are copies of it as it was then, passwords and all.
    ``directory`` is where it lives, if the server's account can reach it; else, and by default, a directory of its
    own: in memory if there is plenty of it and nothing is to be ``durable``, else under the system's temporary
    directory. Everything is removed at the end.
    """
    account = server_account()
    if directory is None or not can_reach(directory, account):
        directory = Path(tempfile.gettempdir()) if durable else _roomy_memory() or Path(tempfile.gettempdir())
    directory.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix=f"ig-{name}-", dir=directory))
    if account is not None:
        os.chown(home, account.uid, account.gid)
    overrides = dict(settings or {}) if durable else {**_NOT_DURABLE, **(settings or {})}
    server = postgres.Server(directory=home, port=free_ports(1)[0], settings=overrides)
    scratch = Scratch(server=server)
    try:
        subprocess.run(["cp", "-a", f"{_pattern()}/.", str(home)], check=True)
        postgres.prepare(server, durable=durable)
        scratch.start()
        yield scratch
    finally:
        scratch.kill()
        shutil.rmtree(home, ignore_errors=True)


def _roomy_memory() -> Path | None:
    """A directory in memory with room for many servers; ``None`` where there is none, as in most containers."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return None


def _pattern() -> Path:
    """The directory of a server with the roles and the database, which does not run."""
    with _one_at_a_time:
        if os.getpid() not in _patterns:
            _patterns[os.getpid()] = _make_pattern()
        return _patterns[os.getpid()]


def _make_pattern() -> Path:
    home = Path(tempfile.mkdtemp(prefix="ig-pattern-", dir=_roomy_memory()))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    account = server_account()
    if account is not None:
        os.chown(home, account.uid, account.gid)
    scratch = Scratch(server=postgres.Server(directory=home, port=free_ports(1)[0], settings=_NOT_DURABLE))
    try:
        postgres.prepare(scratch.server, durable=False)
        scratch.start()
        _run_apart(lambda: postgres.create_roles(scratch.server))
    finally:
        scratch.stop()
    scratch.log.unlink(missing_ok=True)
    return home


def _run_apart(work: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine to its end in a thread of its own, so that callers may or may not have a running loop."""
    failure: list[BaseException] = []

    async def main() -> None:
        await work()

    def body() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body, name="scratch-roles")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
