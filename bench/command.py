"""What the commands of all benchmarks share: their options, progress, the end by a signal, table, JSON and exit code.

Exit codes: 0 measured (limits are printed as met or not met, and never fail a run), 1 could not measure, 130
interrupted. What is measured does not belong here.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from intelgraph.runtime.stop_signals import cancelled_by_signal

R = TypeVar("R")
Say = Callable[[str], None]


def options(name: str, about: str, *, quick: str) -> argparse.ArgumentParser:
    """The options that each has: ``--quick`` and ``--json``."""
    parser = argparse.ArgumentParser(prog=f"bench.{name}", description=about)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure here too")
    return parser


def show(
    given: argparse.Namespace,
    prog: str,
    measure: Callable[[Say], Coroutine[Any, Any, R]],
    lines: Callable[[R], Sequence[str]],
) -> int:
    """Measure, print the table, write the JSON; returns the exit code."""
    try:
        report = asyncio.run(cancelled_by_signal(measure(_progress())))
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("interrupted: what was started is stopped and its data deleted", file=sys.stderr)
        return 130
    except Exception as error:
        print(f"{prog}: could not measure: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines(report)))
    if given.json:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return 0


def _progress() -> Say:
    """Say things to the terminal, with the time since the start."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr, flush=True)

    return say
