"""Appends a line to a record durably: once it returns, the line is on the disk.

A line that was written in part (a full disk, a loss of power) is ended by the next one, which is never joined to it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from intelgraph.runtime.whole_file import PRIVATE


def append_line(path: Path, line: str) -> None:
    """Append ``line`` to a file that its owner alone may read, made if need be; raises ``OSError``: it may be there."""
    data = line.removesuffix("\n").encode() + b"\n"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not size:
        _keep_the_name(path.parent)


def _keep_the_name(directory: Path) -> None:
    """A file that is new has its name on the disk only with its directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
