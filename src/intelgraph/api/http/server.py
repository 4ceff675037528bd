"""The processes behind one region's port: a parent that owns the port, and workers that accept from it.

Guarantees: every worker accepts from the same socket, so a worker that dies takes no connection with it that was not
its own; it is replaced. The parent stops on SIGTERM and SIGINT: streams are told first (``lifeline``), then each worker
stops accepting, answers what it has taken, and ends; what is left after ``kill_after_s`` is killed. What is answered
does not belong here.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from typing import Protocol

import uvloop

from intelgraph.api.http.connections import Connections
from intelgraph.api.http.lifeline import Lifeline
from intelgraph.api.http.policy import HttpPolicy
from intelgraph.runtime.stop_signals import stop_event

_RESPAWN_PAUSE_S = 0.1
_LOOK_S = 1.0
_AGAIN_S = 0.05


class Application(Protocol):
    """What a worker serves."""

    async def start(self) -> Connections:
        """Make the parts; called on the worker's event loop."""
        ...

    async def stop(self) -> None:
        """End them; nothing is answered any more."""
        ...


def serve(
    application: Application,
    listening: socket.socket,
    *,
    workers: int,
    lifeline: Lifeline,
    policy: HttpPolicy,
    beside: Sequence[str] | None = None,
) -> None:
    """Own the port and serve with ``workers`` processes until SIGTERM or SIGINT.

    ``beside``: the command of a process that runs meanwhile, and that ends when its standard input does.
    """
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _frame: asked.append(caught))
    fork = multiprocessing.get_context("fork")

    companion = _begin(beside)

    def start() -> BaseProcess:
        process = fork.Process(target=_work, args=(application, listening, companion, policy))
        process.start()
        return process

    living = [start() for _ in range(workers)]
    while not asked:
        if companion is not None and companion.poll() is not None:
            companion = _begin(beside)
        multiprocessing.connection.wait([process.sentinel for process in living], timeout=_LOOK_S)
        for at, process in enumerate(living):
            if not process.is_alive() and not asked:
                process.join()
                time.sleep(_RESPAWN_PAUSE_S)
                living[at] = start()
    lifeline.cut()
    listening.close()
    _stop(living, policy)
    if companion is not None:
        companion.kill()
        companion.wait()


def _begin(command: Sequence[str] | None) -> subprocess.Popen[bytes] | None:
    return subprocess.Popen(command, stdin=subprocess.PIPE) if command is not None else None


def _stop(living: list[BaseProcess], policy: HttpPolicy) -> None:
    for process in living:
        process.terminate()
    until = time.monotonic() + policy.kill_after_s
    for process in living:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def listen(host: str, port: int, policy: HttpPolicy) -> socket.socket:
    """Open the port; a server that was killed just before is given time to let go of it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    until_s = time.monotonic() + policy.predecessor_s
    while True:
        try:
            listening = socket.create_server((host, port), family=family, backlog=policy.backlog)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until_s:
                raise
            time.sleep(_AGAIN_S)
        else:
            listening.setblocking(False)
            # Accepted connections have it too: for a client whose machine has gone the kernel would wait 15 minutes.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(policy.stalled_s * 1_000))
            return listening


def _work(
    application: Application,
    listening: socket.socket,
    companion: subprocess.Popen[bytes] | None,
    policy: HttpPolicy,
) -> None:
    """A worker's whole life."""
    if companion is not None and companion.stdin is not None:
        companion.stdin.close()  # the server process alone holds it: with that one it ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    uvloop.run(_accept(application, listening, policy))
    sys.stdout.flush()
    os._exit(0)


async def _accept(application: Application, listening: socket.socket, policy: HttpPolicy) -> None:
    stop = stop_event(signals=(signal.SIGTERM,))
    loop = asyncio.get_running_loop()
    connections = await application.start()
    server = await loop.create_server(connections.make, sock=listening, backlog=policy.backlog)
    # What is here now stays: the collector need not look at it again each time.
    gc.collect()
    gc.freeze()
    await stop.wait()
    server.close()
    await connections.stop(policy.answered_within_s)
    await application.stop()
