"""``intelgraph`` as tests run it: in a process of its own, whose imports were paid for once (``command_server``)."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.machine import WAIT_S

_ROOT = Path(__file__).parents[1]


class _Server:
    """One for each process that runs tests; it ends with it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.command_server", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd=_ROOT,
        )
        theirs.close()
        atexit.register(self.stop)

    def send(self, message: bytes, descriptors: Sequence[int]) -> None:
        socket.send_fds(self._control, [message], descriptors)

    def stop(self) -> None:
        self._control.close()
        self._process.wait(WAIT_S)


_one_at_a_time = threading.Lock()
_servers: dict[int, _Server] = {}


def _server() -> _Server:
    with _one_at_a_time:
        if os.getpid() not in _servers:
            _servers[os.getpid()] = _Server()
        return _servers[os.getpid()]


def run(
    arguments: Sequence[str | bytes],
    *,
    directory: Path,
    timeout_s: float,
    stdin: bytes = b"",
    stdout: IO[bytes] | int | None = None,
    stderr: IO[bytes] | int | None = None,
    more_environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run one verb to its end. What has no file to go to is captured. Raises ``subprocess.TimeoutExpired``."""
    line = b"".join(os.fsencode(each) + b"\0" for each in arguments)
    asked = {
        "arguments": line.hex(),
        "directory": str(directory.absolute()),
        "environment": {**os.environ, **(more_environment or {})},
    }
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        told, theirs = socket.socketpair()
        with told:
            with theirs:
                streams = (given, out if stdout is None else stdout, err if stderr is None else stderr)
                numbers = [each if isinstance(each, int) else each.fileno() for each in (theirs, *streams)]
                _server().send(json.dumps(asked).encode(), numbers)
            status = _until_ended(told, arguments, timeout_s)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            ["intelgraph", *arguments], os.waitstatus_to_exitcode(status), out.read(), err.read()
        )


def run_text(
    arguments: Sequence[str], *, directory: Path, timeout_s: float, more_environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one verb with nothing to read; what it says, as text."""
    done = run(arguments, directory=directory, timeout_s=timeout_s, more_environment=more_environment)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def _until_ended(told: socket.socket, arguments: Sequence[str | bytes], timeout_s: float) -> int:
    told.settimeout(timeout_s)
    pid = 0
    try:
        with told.makefile("rb") as lines:
            pid = int(lines.readline())
            return int(lines.readline())
    except TimeoutError as error:
        if pid:
            os.kill(pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(["intelgraph", *map(str, arguments)], timeout_s) from error
