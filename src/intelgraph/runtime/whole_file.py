"""Writes a file whole or not at all: readers see the old content or the new, never a part.

The content is written to a draft in the same directory, which then takes the file's name. A process that dies between
the two leaves the old file and a draft, which the next writer with the same process id removes. The draft has its
final mode before anything is in it. A loss of power may lose the write: nothing is flushed to the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE = 0o600
"""The mode of a file that only its account may read."""


def write_whole(path: Path, content: str | bytes, *, mode: int = PRIVATE, owner: tuple[int, int] | None = None) -> None:
    """Write ``content`` (text as UTF-8) with ``mode``, owned by ``owner`` (user id, group id) if one is given.

    Raises ``OSError``, and then the file is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            file.write(data)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
