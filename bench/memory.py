"""How much each process of a fleet grows: memory of its own, without what PostgreSQL's processes share."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

_LOOK_S = 0.1


def _memory(process: Path) -> int | None:
    """Return a process's anonymous memory in bytes; nothing if it has gone."""
    with contextlib.suppress(OSError):
        for line in (process / "status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return None


def _name(process: Path, directory: str) -> str | None:
    """Return what a process of the fleet in a directory is called; nothing if it is none."""
    with contextlib.suppress(OSError):
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        if directory not in command and not str((process / "cwd").readlink()).startswith(directory):
            return None
        if command.startswith("postgres:"):
            return " ".join(command.split()[:3])
        return next((part for part in command.split() if part.startswith("intelgraph.")), command.split()[0])
    return None


class Watch:
    """Looks at a fleet's processes from ``run`` on; ``growth`` is the most that any has grown."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._first: dict[int, int] = {}
        self._names: dict[int, str | None] = {}
        self.growth: dict[str, int] = {}

    def look(self) -> None:
        """Look once."""
        for process in Path("/proc").glob("[0-9]*"):
            pid = int(process.name)
            if pid not in self._names:
                self._names[pid] = _name(process, self._directory)
            name = self._names[pid]
            size = _memory(process) if name is not None else None
            if name is not None and size is not None:
                grown = size - self._first.setdefault(pid, size)
                self.growth[name] = max(self.growth.get(name, 0), grown)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_S)

    def most(self) -> tuple[str, float]:
        """Return which process has grown most, and by how many MB."""
        name, size = max(self.growth.items(), key=lambda each: each[1], default=("none", 0))
        return name, size / 2**20
