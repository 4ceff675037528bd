"""What a command says: the one way from every verb to a terminal, a pipe or a file.

``say`` writes one line for people. Whatever is in it, it stays one line of visible characters (``printable``): only
``style`` makes colours. ``say_json`` writes a value for programs, exact. A stream that cannot be written raises
``OutputFailed``, which ``main`` turns into one sentence and an exit code.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import select
import sys
from collections.abc import Iterable
from typing import Any

import click

from intelgraph.model.printable import json_text, printable

EXIT_BROKEN_PIPE = 141
"""What a shell shows of a program that the end of its pipe has ended."""
_CODES = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "dim": 2, "bold": 1}
_NONCE = secrets.token_hex(8)  # nobody outside this process can write a colour
_MARK = re.compile(f"\x00{_NONCE}:([0-9]+)\x01")


class OutputFailed(Exception):
    """Standard output or standard error cannot be written; ``error`` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def style(text: str, colour: str) -> str:
    """``text`` in a colour, ``dim`` or ``bold``, where the stream shows any."""
    return f"\x00{_NONCE}:{_CODES[colour]}\x01{text}\x00{_NONCE}:0\x01"


def say(line: object = "", *, err: bool = False) -> None:
    """Write one line for people to standard output, or to standard error."""
    parts = _MARK.split(str(line))
    text = "".join(printable(part) if at % 2 == 0 else f"\x1b[{part}m" for at, part in enumerate(parts))
    _write(text, err=err)


def say_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Write several."""
    for line in lines:
        say(line, err=err)


def say_json(value: Any, *, err: bool = False) -> None:
    """Write a value for programs, as one line of JSON."""
    _write(json_text(value), err=err)


def _write(text: str, *, err: bool) -> None:
    try:
        click.echo(text, err=err)
    except OSError as error:
        raise OutputFailed(error) from error


def flush() -> None:
    """Write what is still buffered."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:
            raise OutputFailed(error) from error


def reader_is_gone() -> bool:
    """Whether standard output is a pipe or a connection that nobody reads any more."""
    try:
        descriptor = sys.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, 0)
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    except (OSError, ValueError, AttributeError):  # no standard output, or none that has a descriptor
        return False


def wait_or_reader_gone(seconds: float) -> bool:
    """Wait, and return at once when nobody reads standard output any more; whether that is so."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        poll.poll(seconds * 1_000)
    except (OSError, ValueError, AttributeError):
        select.select([], [], [], seconds)
    return reader_is_gone()


def broken_pipe() -> OutputFailed:
    """What ``reader_is_gone`` means to a command that would go on."""
    return OutputFailed(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))


def after_failure(failed: OutputFailed) -> int:
    """Say on standard error that the output is not complete, if that can be said; returns the exit code."""
    _silence(sys.stdout)
    if failed.error.errno == errno.EPIPE:
        _silence(sys.stderr)
        return EXIT_BROKEN_PIPE
    say_if_possible(f"intelgraph: the output is not complete: {failed.error.strerror or failed.error}")
    return 1


def say_if_possible(line: str) -> None:
    """A sentence on standard error; when that cannot be written either, the exit code must do."""
    try:
        say(line, err=True)
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OutputFailed, OSError):
        _silence(sys.stderr)


def _silence(stream: Any) -> None:
    """Let what is still buffered go nowhere, so that the interpreter's end has nothing to complain of."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        pass
