"""The logs of a fleet's parts: which there are, and how they grow. Their last lines are read by ``last_lines``."""

from __future__ import annotations

import contextlib
from pathlib import Path

from intelgraph.fleet.composition.parts import all_parts
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor.log_files import decoded, last_lines
from intelgraph.fleet.supervisor.supervision import log_path
from intelgraph.model.errors import refuse

__all__ = ["GrowingLog", "find_logs", "last_lines"]


def find_logs(fleet: Fleet, wanted: str) -> dict[str, Path]:
    """By name the log of a part, of each part of a region, of one kind of part, or every one; ``unknown_part``."""
    logs = {part.name: part.log for part in all_parts(fleet)}
    logs["supervisor"] = log_path(fleet)
    chosen = {
        name: path
        for name, path in logs.items()
        if not wanted or name == wanted or name.startswith(f"{wanted}/") or name.endswith(f"/{wanted}")
    }
    if not chosen:
        raise refuse("unknown_part", f"there is no log of {wanted!r}: known are {', '.join(logs)}")
    return chosen


class GrowingLog:
    """A log from where it ends now, or from ``begun``. A log that was rotated begins again."""

    def __init__(self, path: Path, begun: int | None = None) -> None:
        self._path = path
        self._begun = _size(path) if begun is None else begun

    def grown(self) -> list[str]:
        """The whole lines that were added since the last look."""
        size = _size(self._path)
        self._begun = 0 if size < self._begun else self._begun
        if size == self._begun:
            return []
        data = b""
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            file.seek(self._begun)
            data = file.read(size - self._begun)
        whole, end, _ = data.rpartition(b"\n")
        if not end:
            return []
        self._begun += len(whole) + 1
        return decoded(whole.split(b"\n"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
