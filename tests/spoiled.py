"""A control store's file that is no database for a while, without a moment in which it is empty.

Its readers map the file beside it into their memory: who cuts it off while they look kills them (SIGBUS), and who
finds it empty makes a new one. So every byte is overwritten where it is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_NONSENSE = b"garbage"


@contextlib.contextmanager
def spoiled(database: Path) -> Iterator[None]:
    """For the length of the block no byte of the SQLite database at a path is what it was."""
    # The index of the log comes last: what it points to is there before.
    files = [path for end in ("-wal", "", "-shm") if (path := database.with_name(database.name + end)).exists()]
    contents = {path: path.read_bytes() for path in files}
    try:
        for path, content in contents.items():
            _overwrite(path, (_NONSENSE * (len(content) // len(_NONSENSE) + 1))[: len(content)])
        yield
    finally:
        for path, content in contents.items():
            _overwrite(path, content)


def _overwrite(path: Path, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        written = 0
        while written < len(content):
            written += os.pwrite(file, content[written:], written)
    finally:
        os.close(file)
