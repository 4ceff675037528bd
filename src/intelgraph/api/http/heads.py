"""How an answer's head is written: what is the same for all answers of a kind is put together once."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from intelgraph.api.http.response import Header

CLOSE = (b"connection", b"close")
_KINDS_MAX = 200
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}


class Heads:
    """The heads of one worker's answers. ``every``: the headers that all of them have."""

    def __init__(self, every: list[Header]) -> None:
        self._every = every
        self._names = frozenset(name for name, _ in every)
        self._heads: dict[tuple[int, bytes, bool], bytes] = {}
        self.date = b""

    def stamp(self) -> None:
        """Take the time that answers are dated with from now on."""
        self.date = b"date: %b\r\n" % formatdate(time.time(), usegmt=True).encode()

    def head(self, status: int, content_type: bytes, headers: list[Header]) -> bytes:
        """Return the first lines of an answer: what is the same for all of its kind."""
        names = self._names
        bare = False
        for name, _ in headers:
            if name in names:
                bare = True
        key = (status, content_type, bare)
        found = self._heads.get(key)
        if found is None:
            every = [] if bare else self._every
            first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d Other\r\n" % status
            found = first + lines_of([(b"content-type", content_type), *every])
            if len(self._heads) < _KINDS_MAX:
                self._heads[key] = found
        return found + lines_of([each for each in self._every if each[0] not in dict(headers)]) if bare else found


def lines_of(headers: list[Header]) -> bytes:
    """Write headers out; raises ``ValueError`` for one with a line break."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if not lines.count(b"\n") == lines.count(b"\r") == len(headers):
        raise ValueError("a header of an answer has a line break")
    return lines
