"""Markers to plant and the search for them: random text that no compression hides and that nothing else contains.

Every marker begins with the sheet's own random tag, so that one pass over a file finds whichever of them is there;
the rest of it, 24 random bytes in URL-safe base64, says which. A compressor can shorten a tag only where it has seen
it in the same few kilobytes, and what is planted in one value stays below PostgreSQL's threshold for compression.
"""

from __future__ import annotations

import mmap
import secrets
from dataclasses import dataclass, field
from pathlib import Path

_TAG_BYTES = 6
_MARKER_BYTES = 24


A_PART = "a part of a marker"
"""Found where a page of a file ends in the middle of one."""


@dataclass(kw_only=True)
class Sheet:
    """The markers of one test: what each was planted as."""

    tag: str = field(
        default_factory=lambda: "Z" + secrets.token_urlsafe(_TAG_BYTES).replace("-", "x").replace("_", "y")
    )
    planted: dict[str, str] = field(default_factory=dict)

    def plant(self, where: str) -> str:
        """A new marker for a field; the name says where it went."""
        marker = self.tag + secrets.token_urlsafe(_MARKER_BYTES).replace("-", "x").replace("_", "y")
        self.planted[marker] = where
        return marker


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search looked at, which files hold markers, and which fields' markers those are."""

    files: int
    bytes: int
    hits: dict[str, set[str]]

    @property
    def fields(self) -> set[str]:
        """Every field of which a marker was found."""
        return set().union(*self.hits.values())


def search(directory: Path, sheet: Sheet) -> Found:
    """Search every byte of every regular file under ``directory``; files that vanish meanwhile are skipped."""
    files, size = 0, 0
    hits: dict[str, set[str]] = {}
    assert directory.is_dir(), f"{directory} is not a directory"
    for path in sorted(directory.rglob("*")):
        try:
            if path.is_symlink() or not path.is_file():
                continue
            length = path.stat().st_size
            files, size = files + 1, size + length
            found = _fields_in(path, sheet) if length else set()
        except FileNotFoundError:
            continue
        if found:
            hits[str(path.relative_to(directory))] = found
    return Found(files=files, bytes=size, hits=hits)


def _fields_in(path: Path, sheet: Sheet) -> set[str]:
    tag = sheet.tag.encode()
    longest = max((len(marker) for marker in sheet.planted), default=len(tag))
    found = set()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(tag)
        while at >= 0:
            text = content[at : at + longest].decode("latin-1")
            found.add(sheet.planted.get(text, A_PART))
            at = content.find(tag, at + 1)
    return found
