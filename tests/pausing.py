"""Processes that a test stops where they are (SIGSTOP) and lets go on.

A signal is only on its way when ``kill`` returns: on a busy machine a process can still answer for many milliseconds.
So the system is asked until it says of each process that it is stopped.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.machine import is_over

_LOOK_S = 0.002


def pause(*pids: int) -> Callable[[], None]:
    """Stop processes, in this order; returns what lets them go on, the last one first."""
    stopped: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            process = psutil.Process(pid)
            os.kill(pid, signal.SIGSTOP)
            stopped.append(process)
            _wait_until_stopped(process)

    def go_on() -> None:
        for process in reversed(stopped):
            # A process's number may have been given to another one; its number and time of birth together tell.
            if process.is_running():
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)

    return go_on


@contextmanager
def paused(*pids: int) -> Iterator[None]:
    """Processes are stopped, and go on at the end."""
    go_on = pause(*pids)
    try:
        yield
    finally:
        go_on()


def _wait_until_stopped(process: psutil.Process) -> None:
    began_s = time.monotonic()
    while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
        assert not is_over(0, began_s), f"process {process.pid} is {process.status()}, not stopped"
        time.sleep(_LOOK_S)
