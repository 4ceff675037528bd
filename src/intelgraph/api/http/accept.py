"""Content negotiation (RFC 9110, section 12.5.1): which of the media types on offer a request's ``Accept`` asks for.

One reader for every route. Types are compared without case; the most specific range that covers a type decides its
weight; a weight of 0 excludes it. Of equal weights the type that is named more exactly wins, then the one that is named
first, then the one that is offered first. Parameters other than the weight are not looked at. What cannot be read is
passed over: Java sends ``*; q=.2``. No ``Accept``, or an empty one, asks for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

EVENTS = b"text/event-stream"
_ANYTHING = b"*/*"
_RANGES_MAX = 100
"""A header names a few; what stands behind so many is not read."""
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z)', re.DOTALL)
_WEIGHT = re.compile(rb"(?:[01](?:\.[0-9]*)?|\.[0-9]+)")


def best(accept: bytes | None, offered: Sequence[bytes]) -> bytes | None:
    """Return the media type to answer with; nothing if none of those on offer fits."""
    ranges = list(_ranges(accept or b"")) or [(_ANYTHING, 1.0)]
    found: tuple[tuple[float, int, int, int], bytes] | None = None
    for number, kind in enumerate(offered):
        covering = [(exact, weight, -place) for place, (name, weight) in enumerate(ranges)
                    if (exact := _exactness(name, kind)) is not None]  # fmt: skip
        if not covering:
            continue
        exact, weight, place = max(covering)
        rank = (weight, exact, place, -number)
        if weight > 0 and (found is None or rank > found[0]):
            found = rank, kind
    return None if found is None else found[1]


def fits(accept: bytes | None, kind: bytes) -> bool:
    """Whether a media type is among those that are asked for."""
    return best(accept, (kind,)) is not None


def _exactness(name: bytes, kind: bytes) -> int | None:
    """Say how exactly a range names a type; nothing if it does not cover it."""
    if name == kind:
        return 2
    if name == kind.partition(b"/")[0] + b"/*":
        return 1
    return 0 if name == _ANYTHING else None


def _ranges(accept: bytes) -> Iterator[tuple[bytes, float]]:
    """Take a header apart: each range's name and weight."""
    text = _QUOTED.sub(b"", accept).lower()
    for part in text.split(b",", _RANGES_MAX)[:_RANGES_MAX]:
        name, *parameters = part.split(b";")
        name = name.strip()
        if name:
            yield (_ANYTHING if name == b"*" else name), _weight(parameters)


def _weight(parameters: Sequence[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            return min(1.0, float(value)) if _WEIGHT.fullmatch(value := value.strip()) else 1.0
    return 1.0
