"""Keeps the parts' logs bounded, and reads their ends.

A part appends to its log directly, so that it needs nobody to go on logging. A log that has grown too large is copied
aside and emptied in place; lines written between the copy and the emptying, within a millisecond, can be lost.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

LOG_BYTES_MAX = 8 * 1024 * 1024
KEPT = 2


def rotate(path: Path, *, bytes_max: int = LOG_BYTES_MAX) -> bool:
    """Copy a log aside and empty it if it is too large; returns whether it was."""
    with contextlib.suppress(OSError):
        if path.stat().st_size <= bytes_max:
            return False
        copy = path.with_name(f"{path.name}.new")
        try:
            shutil.copy2(path, copy)
        except OSError:  # a part of a copy is of no use, and takes the last room of a disk that is full
            copy.unlink(missing_ok=True)
            return False
        for number in range(KEPT, 1, -1):
            older = path.with_name(f"{path.name}.{number - 1}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number}"))
        copy.replace(path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)
        return True
    return False


def last_lines(path: Path, count: int, *, wanted: Callable[[str], bool] = lambda line: True) -> list[str]:
    """The last lines of a log that are wanted, without reading what is before them; none if there is no log."""
    found: list[str] = []
    if count <= 0:
        return found
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        position, begun = file.tell(), b""
        while position > 0 and len(found) < count:
            step = min(65_536, position)
            position -= step
            file.seek(position)
            piece = file.read(step) + begun
            begun, *whole = piece.split(b"\n") if position > 0 else [b"", *piece.split(b"\n")]
            if not found and whole and not whole[-1]:
                whole.pop()  # what follows the last line feed is no line
            found = [line for line in decoded(whole) if wanted(line)] + found
    return found[-count:]


def decoded(lines: list[bytes]) -> list[str]:
    """Lines as text. Only a line feed ends one: what else could is a part of it, whoever wrote it there."""
    return [line.decode("utf-8", errors="replace") for line in lines]
