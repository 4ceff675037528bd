"""Runs `intelgraph` verbs for tests, each in a process of its own that is a copy of one that has imported everything.

Importing costs a verb most of its time. Whoever asks sends a line of JSON (arguments, directory, environment) over
a socket of the command's own, with the three descriptors that the command is to have; it is told the process id, and
at the end the status as ``waitpid`` gives it. What is tried by this way is a verb; how the interpreter starts, is
interrupted while it imports, and ends, is tried with the interpreter itself (``tests/cli/test_interruption.py``).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import signal
import socket
import sys
from typing import Any

from intelgraph.cli import main as command
from intelgraph.cli.verbs import VERBS

_MESSAGE_BYTES_MAX = 1_000_000


def serve(control: socket.socket) -> None:
    """Answer until nobody asks any more."""
    for where in sorted({named.partition(":")[0] for named in VERBS.values()}):
        importlib.import_module(where)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that wait for a command end by themselves
    while True:
        try:
            message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE_BYTES_MAX, 4)
        except KeyboardInterrupt:
            continue
        if not message:
            return
        if os.fork() == 0:
            control.close()
            with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
                _wait_for_one(json.loads(message), descriptors)
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _wait_for_one(asked: dict[str, Any], descriptors: list[int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told, *streams = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _become(asked, streams)
        command.main()
        sys.exit()
    for descriptor in streams:
        os.close(descriptor)
    os.write(told, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(told, f"{status}\n".encode())


def _become(asked: dict[str, Any], streams: list[int]) -> None:
    """Make of this copy what a process would be that was just started so."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(asked["directory"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.modules["__main__"].__package__ = "intelgraph.cli"  # as of `python -m intelgraph.cli.main`
    sys.argv = [command.__file__, *map(os.fsdecode, bytes.fromhex(asked["arguments"]).split(b"\0")[:-1])]
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", errors=errors, buffering=1 if number == 2 else -1, closefd=False)  # noqa: SIM115
        for number, mode, errors in ((0, "r", "surrogateescape"), (1, "w", "strict"), (2, "w", "backslashreplace"))
    )
    random.seed()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
