"""Finds, starts, asks and stops a fleet's supervisor from outside of it; and does its stopping where it is dead."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from intelgraph.fleet.composition.parts import mark, python_environment
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor.notes import Notes, read_notes, write_notes
from intelgraph.fleet.supervisor.process import ENDED_WITHIN_S, MARK, adopt, end_leftovers, marks_beginning, survey
from intelgraph.fleet.supervisor.status import Failed, FleetStatus, Request
from intelgraph.fleet.supervisor.stopping import stop_parts
from intelgraph.model.errors import PermanentError, refuse
from intelgraph.runtime.file_lock import locked

SUPERVISOR = "supervisor"
ANSWER_WITHIN_S = {"status": 5.0, "stop": 5.0, "release": 5.0, "hold": 6 * ENDED_WITHIN_S, "restart": 90.0}
"""How long to wait for the answer: longer than what is asked for may take, also on a busy machine."""


def ask(fleet: Fleet, request: Request) -> FleetStatus | None:
    """What the supervisor answers, or ``None`` when none runs; refuses what it refuses."""
    timeout_s = ANSWER_WITHIN_S[request.do]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(timeout_s)
            channel.connect(str(fleet.supervisor_socket))
            channel.sendall(msgspec.json.encode(request) + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                part = channel.recv(65_536)
                if not part:
                    return None
                answer += part
    except TimeoutError as error:
        raise _silent(fleet, timeout_s) from error
    except OSError:
        return None
    return _status(answer)


async def ask_async(fleet: Fleet, request: Request, *, within_s: float | None = None) -> FleetStatus | None:
    """Do what ``ask`` does without blocking: a cancellation ends the wait at once, and so does ``within_s``."""
    timeout_s = ANSWER_WITHIN_S[request.do] if within_s is None else within_s
    try:
        async with asyncio.timeout(timeout_s):
            answer = await _exchange(fleet.supervisor_socket, msgspec.json.encode(request))
    except TimeoutError as error:
        raise _silent(fleet, timeout_s) from error
    except OSError:
        return None
    return _status(answer) if answer.endswith(b"\n") else None


async def _exchange(path: Path, line: bytes) -> bytes:
    """Send a line; returns the line that comes back, or what came before the connection ended."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(line + b"\n")
        await writer.drain()
        answer = b""
        while not answer.endswith(b"\n") and (part := await reader.read(65_536)):
            answer += part
        return answer
    finally:
        writer.close()


def _silent(fleet: Fleet, timeout_s: float) -> PermanentError:
    return refuse(
        "supervisor_silent", f"the supervisor has not answered for {timeout_s:g} s; its log is {log_path(fleet)}"
    )


def _status(answer: bytes) -> FleetStatus:
    """What a supervisor answered; refuses what it refuses."""
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(answer, type=FleetStatus)
    try:
        failed = msgspec.json.decode(answer, type=Failed)
    except msgspec.DecodeError as error:
        raise refuse(
            "supervisor_not_understood",
            f"the supervisor's answer is not understood ({error}): it is of another release. Kill its process, which "
            "harms no part, and `intelgraph up` takes over what runs",
        ) from error
    raise refuse(failed.code, failed.reason)


def log_path(fleet: Fleet) -> Path:
    """The supervisor's log."""
    return fleet.common_logs / "supervisor.log"


def refusal_path(fleet: Fleet) -> Path:
    """Where a supervisor that cannot start leaves its reason."""
    return fleet.common / "refused.json"


def spawn(fleet: Fleet, *, topology: Path | None, start: Path) -> subprocess.Popen[bytes]:
    """Start a supervisor in the background."""
    refusal_path(fleet).unlink(missing_ok=True)
    command = [sys.executable, "-m", "intelgraph.fleet.supervisor", "--start", str(start.absolute())]
    command += ["--control", fleet.topology.control.kind.value]
    if topology is not None:
        command += ["--topology", str(topology.absolute())]
    log = os.open(log_path(fleet), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=fleet.common,
            env={**python_environment(), MARK: mark(fleet, SUPERVISOR)},
            start_new_session=True,
        )
    finally:
        os.close(log)


def told_refusal(fleet: Fleet) -> tuple[str, str]:
    """Why the last supervisor did not start: code and sentence."""
    try:
        told = json.loads(refusal_path(fleet).read_text(encoding="utf-8"))
        return str(told["code"]), str(told["reason"])
    except (OSError, ValueError, KeyError):
        return "supervisor_ended", f"the supervisor ended at once; its log is {log_path(fleet)}"


@contextlib.contextmanager
def the_only_one(fleet: Fleet) -> Iterator[None]:
    """Hold the fleet's lock; refuses while another supervisor, or another ``down``, holds it."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(fleet.common / "supervisor.lock", wait=False))
        except BlockingIOError as error:
            raise refuse(
                "already_supervised", f"the fleet in {fleet.state} has a supervisor already, or is being stopped"
            ) from error
        yield


async def stop_without_supervisor(fleet: Fleet) -> int:
    """End the parts that a dead supervisor left running; returns how many there were. The caller holds the lock.

    Which those are is told by its notes and by the marks on this machine, not by the topology: that may have changed.
    A supervisor that was started and has not come to the lock yet would bring all of it up again: it is ended first.
    """
    await end_leftovers(mark(fleet, SUPERVISOR), patience_s=0.0)
    notes = read_notes(fleet)
    found = {carried.removeprefix(mark(fleet, "")) for carried in marks_beginning(mark(fleet, ""))}
    marks = {name: mark(fleet, name) for name in (notes.parts.keys() | found) - {SUPERVISOR}}
    adopted = {name: adopt(note.identity) for name, note in notes.parts.items()}
    running = {name: process for name, process in adopted.items() if process is not None}
    carrying = survey(marks.values())
    left = sum(1 for name in marks if name not in running and carrying[marks[name]])
    await stop_parts(marks, running)
    write_notes(fleet, Notes(plan=notes.plan, parts={}))
    return len(running) + left


def wipe(fleet: Fleet) -> None:
    """Delete the whole state directory of a stopped fleet, and its sockets.

    What says that it is a fleet goes last, so that a wipe that was stopped or refused can be done again.
    """
    shutil.rmtree(fleet.run, ignore_errors=True)
    for entry in [entry for entry in fleet.state.iterdir() if entry != fleet.common]:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                entry.unlink()
    left = sorted(entry.name for entry in fleet.state.iterdir() if entry != fleet.common)
    if not left:
        shutil.rmtree(fleet.state, ignore_errors=True)
    if fleet.state.exists():
        raise refuse("not_wiped", f"not everything in {fleet.state} could be deleted: {', '.join(left or ['fleet'])}")
