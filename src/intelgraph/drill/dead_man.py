"""``python -m intelgraph.drill.dead_man``: heals a drill's fault when its time is over, or when the drill has died.

The drill starts it before it injects anything, in a session of its own, and keeps the other end of its standard input.
A line there says that the drill has healed; the end of it, without that line, that the drill is no more. Whatever comes
first, or ``--for`` seconds, ends the wait; healing is tried until it is proven.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from intelgraph.drill import faults
from intelgraph.drill.healing import heal_until_proven
from intelgraph.fleet.composition.parts import python_environment
from intelgraph.fleet.layout.places import Fleet, locate
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.model.errors import IntelGraphError, refuse

_READY_WITHIN_S = 30.0
_ENDS_WITHIN_S = 5.0
_TRIED_FOR_S = 120.0
_READY, _HEALED = b"ready\n", b"healed\n"


@dataclass(frozen=True, kw_only=True)
class Whereabouts:
    """How another process finds the same fleet: its topology file, or the directory where there is none."""

    topology: Path | None
    start: Path

    def fleet(self) -> Fleet:
        """Find it."""
        return locate(load_topology(self.topology), start=self.start)


class DeadMan:
    """The drill's side: a context around injecting and healing. Left without ``dismiss``, the dead man heals."""

    def __init__(self, where: Whereabouts, *, fault: str, region: str, for_s: float, log: Path) -> None:
        self._command = [sys.executable, "-m", "intelgraph.drill.dead_man", "--start", str(where.start.absolute())]
        self._command += ["--fault", fault, "--region", region, "--for", str(for_s)]
        if where.topology is not None:
            self._command += ["--topology", str(where.topology.absolute())]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DeadMan:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=python_environment(),
                start_new_session=True,
            )
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], _READY_WITHIN_S)
        if not readable or self._process.stdout.readline() != _READY:
            self._process.kill()
            raise refuse("no_dead_man", f"the drill is refused: nobody would heal it; the reason is in {self._log}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN_S)

    def dismiss(self) -> None:
        """Say that the fault is healed, and that this is proven."""
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(_HEALED)
            self._process.stdin.flush()


def _wait(for_s: float) -> str | None:
    """Why to heal; nothing when the drill has done so."""
    until_s, said = time.monotonic() + for_s, b""
    while (left_s := until_s - time.monotonic()) > 0:
        readable, _, _ = select.select([0], [], [], left_s)
        if not readable:
            break
        part = os.read(0, 64)
        if not part:
            return None if said == _HEALED else "the drill has died"
        said += part
        if said == _HEALED:
            return None
    return "its time is over"


def main() -> int:
    """Wait, and heal if the drill does not."""
    parser = argparse.ArgumentParser(prog="intelgraph.drill.dead_man")
    parser.add_argument("--topology", type=Path)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--fault", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--for", dest="for_s", type=float, required=True)
    given = parser.parse_args()
    fault = faults.make(given.fault, Whereabouts(topology=given.topology, start=given.start).fleet(), given.region)
    os.write(1, _READY)
    why = _wait(given.for_s)
    if why is None:
        return 0

    def report(what: str) -> None:
        sys.stderr.write(f"{why}: {what}\n")

    try:
        proof = heal_until_proven(fault, within_s=_TRIED_FOR_S, report=report)
        report(f"{fault.name} of {fault.region} is healed: {proof}")
    except (IntelGraphError, OSError) as error:
        report(f"{fault.name} of {fault.region} is left as it is: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
