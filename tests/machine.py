"""How busy the machine is while a test measures: bounds of seconds are for a machine of one's own.

A small process beside the tests does a fixed piece of work twice a second and notes how long it took. A bound that a
test asserts is stretched by how much longer that was, on average, in the very window that the test measured. On a quiet
machine nothing is stretched. A bound that only ends a wait for something (``WAIT_S``) asserts nothing and is generous.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import threading
import time

WAIT_S = 90.0
"""For how long a test waits for what must come; a test has 600 s in all."""
_WORK_S, _EVERY_S = 0.02, 0.5
_CALM_MAX, _STRETCH_MAX = 1.5, 20.0
_LONGER_MAX = 3.0
"""A wait is no longer than so many times its bound, however busy the machine is."""
_LATELY_S = 5.0
_PROBE = f"""
import time
while True:
    began_s, began_cpu_s = time.monotonic(), time.thread_time()
    while time.thread_time() - began_cpu_s < {_WORK_S}:
        pass
    print(began_s, time.monotonic() - began_s, flush=True)
    time.sleep({_EVERY_S - _WORK_S})
"""


class _Probe:
    """Notes when each piece of work began and how long it took; it ends with this process."""

    def __init__(self) -> None:
        self._noted: list[tuple[float, float]] = []
        self._process = subprocess.Popen([sys.executable, "-c", _PROBE], stdout=subprocess.PIPE, text=True)
        atexit.register(self._process.kill)
        threading.Thread(target=self._note, daemon=True).start()

    def _note(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            began_s, took_s = line.split()
            self._noted.append((float(began_s), float(took_s)))

    def stretch(self, since_s: float) -> float:
        """How many times longer than alone on a core, on average since then."""
        took_s = [took_s for began_s, took_s in self._noted[:] if began_s >= since_s - _EVERY_S] or [_work_s()]
        return sum(took_s) / len(took_s) / _WORK_S


def _work_s() -> float:
    began_s, began_cpu_s = time.monotonic(), time.thread_time()
    while time.thread_time() - began_cpu_s < _WORK_S:
        pass
    return time.monotonic() - began_s


_probe: _Probe | None = None


def watch_the_machine() -> None:
    """Begin to measure, once."""
    global _probe
    if _probe is None:
        _probe = _Probe()


def contention(since_s: float | None = None) -> float:
    """How many times longer work has taken since then than alone on a core; 1 where nobody keeps the machine busy.

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
