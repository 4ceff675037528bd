"""Searches every byte of every file under a directory, whole and across block borders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What a search looked at and found: ``hits`` are the files that hold any of the markers."""

    files: int
    bytes: int
    hits: tuple[str, ...]


def holds(path: Path, needles: Iterable[bytes]) -> tuple[bool, int]:
    """Whether a file holds any needle, and how many bytes it has."""
    wanted = [needle for needle in needles if needle]
    longest = max((len(needle) for needle in wanted), default=1)
    size, tail, found = 0, b"", False
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            size += len(block)
            window = tail + block
            found = found or any(needle in window for needle in wanted)
            tail = window[-(longest - 1) :] if longest > 1 else b""
    return found, size


def search(directory: Path, needles: Iterable[bytes]) -> Scan:
    """Search every regular file under ``directory``; files that vanish meanwhile are skipped."""
    wanted = list(needles)
    files, size, hits = 0, 0, []
    for path in sorted(directory.rglob("*")):
        try:
            if not path.is_file() or path.is_symlink():
                continue
            found, length = holds(path, wanted)
        except FileNotFoundError:
            continue
        files += 1
        size += length
        if found:
            hits.append(str(path.relative_to(directory)))
    return Scan(files=files, bytes=size, hits=tuple(hits))
