"""How slow the machine is while a test measures: bounds of seconds are for a machine like the developers', left alone.

A small process beside the tests does a fixed piece of work once a second (a count, and a flush to disk) and notes how
long it took: longer where others use the processors or the disk, and where they are slow. A bound that a test asserts
is stretched by how much longer that was, on average, in the very window that the test measured. On a quiet machine of
the usual speed nothing is stretched. A bound that only ends a wait for something (``WAIT_S``) asserts nothing and is
generous.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

_ROOT = Path(__file__).parents[1]
WAIT_S = 90.0
"""For how long a test waits for what must come; a test has 600 s in all."""
_COUNT_TO = 400_000
_WORK_S, _EVERY_S = 0.025, 1.0
"""What the work takes where nothing is slow: 20 ms for the count (22 ms as measured), and up to 5 ms for the flush."""
_CALM_MAX, _STRETCH_MAX = 1.5, 20.0
_LONGER_MAX = 3.0
"""A wait is no longer than so many times its bound, however busy the machine is."""
_LATELY_S = 5.0
_PROBE = "from tests import machine; machine.probe_for_ever()"


class _Probe:
    """Notes when each piece of work began and how long it took; it ends with this process."""

    def __init__(self) -> None:
        self._noted: list[tuple[float, float]] = []
        self._process = subprocess.Popen([sys.executable, "-c", _PROBE], stdout=subprocess.PIPE, text=True, cwd=_ROOT)
        atexit.register(self._process.kill)
        threading.Thread(target=self._note, daemon=True).start()

    def _note(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            began_s, took_s = line.split()
            self._noted.append((float(began_s), float(took_s)))

    def stretch(self, since_s: float) -> float:
        """How many times longer than where nothing is slow, on average since then."""
        took_s = [took_s for began_s, took_s in self._noted[:] if began_s >= since_s - _EVERY_S] or [_work_s()]
        return sum(took_s) / len(took_s) / _WORK_S


def probe_for_ever() -> None:
    """What the process beside the tests does, until it is ended."""
    with tempfile.TemporaryFile() as file:
        while True:
            began_s = time.monotonic()
            _work(file.fileno())
            print(began_s, time.monotonic() - began_s, flush=True)
            time.sleep(_EVERY_S - _WORK_S)


def _work(file: int) -> None:
    total = 0
    for each in range(_COUNT_TO):
        total ^= each
    os.pwrite(file, b"x" * 8_192, 0)
    os.fsync(file)


def _work_s() -> float:
    with tempfile.TemporaryFile() as file:
        began_s = time.monotonic()
        _work(file.fileno())
        return time.monotonic() - began_s


_probe: _Probe | None = None


def watch_the_machine() -> None:
    """Begin to measure, once."""
    global _probe
    if _probe is None:
        _probe = _Probe()


def contention(since_s: float | None = None) -> float:
    """How many times longer work has taken since then than where nothing is slow; 1 on a quiet machine.

    Without a time: in the last few seconds.
    """
    watch_the_machine()
    assert _probe is not None
    factor = _probe.stretch(time.monotonic() - _LATELY_S if since_s is None else since_s)
    return min(factor, _STRETCH_MAX) if factor > _CALM_MAX else 1.0


def stretched(bound_s: float, since_s: float) -> float:
    """A bound of seconds for what began at ``since_s``, on this machine as it was meanwhile."""
    return bound_s * contention(since_s)


def is_over(wait_s: float, since_s: float) -> bool:
    """Whether a wait for something has lasted far longer than it can take on this machine, as busy as it was."""
    waited_s, bound_s = time.monotonic() - since_s, max(wait_s, WAIT_S)
    return waited_s > bound_s and waited_s > bound_s * min(contention(since_s), _LONGER_MAX)
