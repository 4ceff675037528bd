"""Ctrl-C outside a verb's own work: while modules are imported, and when all is said and the interpreter ends.

An import may swallow ``KeyboardInterrupt`` or turn it into another error, and the interpreter's end prints it. So
there the signal ends the process at once, with the exit code and the sentence of every other interruption. This module
imports next to nothing, for nothing protects its own import.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGINT, default_int_handler, getsignal, signal
from typing import NoReturn

EXIT_INTERRUPTED = 130
SENTENCE = "intelgraph: interrupted"


def leave(*_: object) -> NoReturn:
    """End the process; nothing that it has buffered is written."""
    try:
        os.write(2, f"{SENTENCE}\n".encode())
    finally:
        os._exit(EXIT_INTERRUPTED)


def leave_when_interrupted() -> None:
    """From now on Ctrl-C ends the process at once; a process that was started to ignore it goes on ignoring it."""
    if getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, leave)


@contextmanager
def leaving_when_interrupted() -> Iterator[None]:
    """For the length of the block; a verb's own handler stays."""
    before = getsignal(SIGINT)
    leave_when_interrupted()
    try:
        yield
    finally:
        signal(SIGINT, before)
