"""What JSON a tenant may store: the one rule for numbers, texts, keys and depth, whichever way it comes in.

- A number without a point or an exponent is kept exactly; it has ``DIGITS_MAX`` digits at most.
- Any other number is the nearest IEEE 754 double. It is 0, or its magnitude lies between 1e-64 and 1e64. PostgreSQL
  writes it out without an exponent, so 1E5 is answered as 100000.0 and 1e22 as 10000000000000000000000. -0 is 0.
- A text and a key hold any Unicode character but NUL. A key may be empty. Of a repeated key the last one counts.
- Objects and lists are nested ``DEPTH_MAX`` levels deep at most, the outermost object counted.

The same rule stands in SQL (``ig.has_content``, 050_resolve.sql) for whoever calls ``ig.append`` without this module.
What a value may weigh in bytes does not belong here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

DEPTH_MAX = 32
DIGITS_MAX = 64
_LARGE, _SMALL = 10**DIGITS_MAX, 10.0**-DIGITS_MAX
_DIGITS_READ_MAX = 4_000
"""Python reads no whole number of more than 4,300 digits from a text."""
_INFINITY = float("inf")
_NOT_ZERO, _EXPONENT = re.compile(r"[1-9]"), re.compile(r"[eE]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*", re.ASCII)
_KEY_SHOWN_MAX = 40
_PATH_SHOWN_MAX = 200
NUL = "it contains the character NUL"
OUT_OF_RANGE = f"the number is out of range: 0, or a magnitude from 1e-{DIGITS_MAX} to below 1e{DIGITS_MAX}, is stored"
TOO_DEEP = f"it is nested deeper than {DEPTH_MAX} levels"


class Problem(NamedTuple):
    """What is wrong with a part of a value: where it is (``.a[3]``; empty: the value itself), and one clause."""

    path: str
    what: str

    def inside(self, key: str | int) -> Problem:
        """Return the same of the value that has this one under a key or at an index."""
        return Problem(step(key) + self.path, self.what)


def step(key: str | int) -> str:
    """Return one step of a path, as its client would write it: ``[3]``, ``.name`` or ``["any other key"]``."""
    if isinstance(key, int):
        return f"[{key}]"
    if len(key) > _KEY_SHOWN_MAX:
        return f"[{json.dumps(key[:_KEY_SHOWN_MAX])}...]"
    return f".{key}" if _NAME.fullmatch(key) else f"[{json.dumps(key)}]"


def shown(path: str) -> str:
    """Return a path that fits into a sentence."""
    return path if len(path) <= _PATH_SHOWN_MAX else path[:_PATH_SHOWN_MAX] + "..."


def problem_of(value: object, depth_left: int = DEPTH_MAX) -> Problem | None:
    """Return what is wrong with a decoded value, or nothing."""
    if isinstance(value, str):
        return Problem("", NUL) if "\x00" in value else None
    if isinstance(value, float | int):
        return Problem("", OUT_OF_RANGE) if value and not _SMALL <= abs(value) < _LARGE else None
    if value is None:
        return None
    if depth_left == 0:
        return Problem("", TOO_DEEP)
    parts: Iterable[tuple[str | int, object]]
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    else:
        return Problem("", "it is no JSON value")
    for key, part in parts:
        if isinstance(key, str) and "\x00" in key:
            return Problem("", "a key contains the character NUL")
        problem = problem_of(part, depth_left - 1)
        if problem is not None:
            return problem.inside(key)
    return None


def read_float(text: str) -> float:
    """Read a number with a point or an exponent; infinity if a double cannot hold it, which ``problem_of`` refuses."""
    number = float(text)
    if number == 0.0 and _NOT_ZERO.search(_EXPONENT.split(text)[0]):
        return _INFINITY
    return number


def read_integer(text: str) -> int | float:
    """Read a number without a point or an exponent; infinity if it has more digits than Python reads."""
    return int(text) if len(text) <= _DIGITS_READ_MAX else _INFINITY
