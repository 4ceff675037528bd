"""Processes of this machine that outlive whoever started them: start, recognise, watch, end.

A process is known by its pid, the moment it was born and its command line; a pid alone may belong to another program by
now. Each part also carries a mark in its environment, so that children it left behind can be found. Deciding whether
a recorded process is still the one is pure (`recognise`); everything else here asks the operating system.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil

from intelgraph.fleet.layout.binaries import Account

MARK = "INTELGRAPH_PART"
ENDED_WITHIN_S = 5.0
"""How long killed processes are waited for: a large one, or one that writes to a slow disk, does not vanish at once."""
_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What makes a process that one and no other."""

    pid: int
    birth: str
    command: tuple[str, ...]


class Recognition(Enum):
    """What a recorded process turned out to be."""

    SAME = "same"
    GONE = "gone"
    ANOTHER = "another"


def recognise(recorded: Identity, seen: Identity | None) -> Recognition:
    """Decide whether the process now under the recorded pid is the recorded one. Unknown is not the same."""
    if seen is None:
        return Recognition.GONE
    if seen.pid == recorded.pid and seen.birth == recorded.birth and seen.command == recorded.command:
        return Recognition.SAME
    return Recognition.ANOTHER


def look(pid: int) -> Identity | None:
    """The process that now has this pid, or ``None`` if there is none or it has ended."""
    with contextlib.suppress(psutil.Error, OSError, ValueError, IndexError):
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Identity(pid=pid, birth=_birth(pid), command=tuple(process.cmdline()))
    return None


@dataclass(kw_only=True)
class Running:
    """A process we start or adopt. Signals go to the process itself, never to whoever gets its pid next."""

    identity: Identity
    child: subprocess.Popen[bytes] | None = None
    handle: int | None = None
    exit_code: int | None = None
    gone: bool = False

    async def wait(self) -> int | None:
        """Wait until it has ended; returns its exit code, or ``None`` where another was its parent."""
        if self.handle is not None:
            await _readable(self.handle)
        else:
            while self.alive():  # noqa: ASYNC110 - no event exists to wait for
                await asyncio.sleep(_POLL_S)
        return self.reap()

    def alive(self) -> bool:
        """Whether it still runs."""
        if self.gone:
            return False
        if self.child is not None:
            return self.child.poll() is None
        return recognise(self.identity, look(self.identity.pid)) is Recognition.SAME

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process; nothing happens if it has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.handle is not None:
                signal.pidfd_send_signal(self.handle, number)
            elif self.alive():
                os.kill(self.identity.pid, number)

    def let_go(self) -> None:
        """Give up the handle of a process that is to run on unwatched."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    def reap(self) -> int | None:
        """Collect the exit code of a child that has ended, and let go of the handle."""
        self.let_go()
        if self.child is not None:
            self.exit_code = self.child.wait()
        self.gone = True
        return self.exit_code


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How to start a process. ``mark`` names the part it is; ``account`` is whom it runs as, ``None`` for ourselves."""

    command: tuple[str, ...]
    directory: Path
    log: Path
    environment: Mapping[str, str]
    mark: str
    account: Account | None = None


def start(launch: Launch) -> Running:
    """Start a process in a session of its own, its output appended to its log; raises ``OSError``."""
    log = os.open(launch.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    account = launch.account
    try:
        child = subprocess.Popen(
            launch.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=launch.directory,
            env={**launch.environment, MARK: launch.mark},
            start_new_session=True,
            umask=0o077,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    finally:
        os.close(log)
    identity = Identity(pid=child.pid, birth=_birth_or_none(child.pid), command=launch.command)
    return Running(identity=identity, child=child, handle=_open_handle(child.pid))


def adopt(recorded: Identity) -> Running | None:
    """Take over a process that someone else started, if it is still the recorded one."""
    handle = _open_handle(recorded.pid)
    # Looked at after the handle is open: the handle cannot come to mean another process any more.
    if recognise(recorded, look(recorded.pid)) is Recognition.SAME:
        return Running(identity=recorded, handle=handle)
    if handle is not None:
        os.close(handle)
    return None


def survey(marks: Collection[str]) -> dict[str, list[Identity]]:
    """The processes that carry each mark, oldest first: the part itself and the children it started."""
    found: dict[str, list[tuple[float, Identity]]] = {mark: [] for mark in marks}
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            mark = _mark_of(pid)
            seen = look(pid) if mark in found else None
            if mark is not None and seen is not None:
                found[mark].append((psutil.Process(pid).create_time(), seen))
    return {
        mark: [identity for _, identity in sorted(each, key=lambda entry: (entry[0], entry[1].pid))]
        for mark, each in found.items()
    }


def marks_beginning(prefix: str) -> set[str]:
    """The marks on this machine that begin so, whatever follows."""
    found: set[str] = set()
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            mark = _mark_of(pid)
            if mark is not None and mark.startswith(prefix):
                found.add(mark)
    return found


def marked(mark: str) -> list[Identity]:
    """The processes that carry one mark, oldest first."""
    return survey([mark])[mark]


def the_part_among(candidates: Sequence[Identity], command: tuple[str, ...]) -> Identity | None:
    """Of marked processes, the one that is the part itself: the oldest with exactly its command line."""
    return next((identity for identity in candidates if identity.command == command), None)


async def end_leftovers(*marks: str, patience_s: float) -> int:
    """Wait for the marked processes to end by themselves, then kill them; returns how many had to be killed.

    All of them together are waited for no longer than ``ENDED_WITHIN_S``.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while left := [identity for each in survey(marks).values() for identity in each]:
        if loop.time() >= deadline:
            break
        await asyncio.sleep(0.05)
    found = [leftover for leftover in map(adopt, left) if leftover is not None]
    for leftover in found:
        leftover.send(signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*(leftover.wait() for leftover in found)), ENDED_WITHIN_S)
    return len(found)


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    # A copy, so that two waiters of one process do not replace each other's callback.
    own = os.dup(descriptor)
    loop.add_reader(own, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(own)
        os.close(own)


def _mark_of(pid: int) -> str | None:
    environment = Path(f"/proc/{pid}/environ")
    if not environment.parent.exists():
        found: str | None = psutil.Process(pid).environ().get(MARK)
        return found
    before = f"{MARK}=".encode()
    for entry in environment.read_bytes().split(b"\0"):
        if entry.startswith(before):
            return entry[len(before) :].decode("utf-8", errors="replace")
    return None


def _open_handle(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _birth_or_none(pid: int) -> str:
    try:
        return _birth(pid)
    except (OSError, psutil.Error, ValueError, IndexError):
        return "unknown"


def _birth(pid: int) -> str:
    """When the process was born, in a form that setting the clock does not change and a reboot does."""
    record = Path(f"/proc/{pid}/stat")
    if record.exists():
        ticks = record.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{ticks}"
    return f"{psutil.Process(pid).create_time():.2f}"
