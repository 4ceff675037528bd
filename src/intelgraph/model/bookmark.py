"""A bookmark names one row of the log: ``origin/life/epoch/position``.

A write answers with the bookmark of its row. A read that carries it sees that write or is refused with a type
(``superseded``, ``too_far_behind``). Bookmarks hold no tenant data and are not secret; whoever forges one only delays
or refuses their own read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from intelgraph.model.errors import refuse
from intelgraph.model.names import REGION_PATTERN

_TEXT = re.compile(rf"({REGION_PATTERN})/([1-9][0-9]{{0,8}})/([1-9][0-9]{{0,17}})/([1-9][0-9]{{0,17}})")


@dataclass(frozen=True, kw_only=True, order=False)
class Bookmark:
    """The identity of a row (``origin``, ``life``, ``position``) and the ``epoch`` it was written in."""

    origin: str
    life: int
    epoch: int
    position: int

    def __str__(self) -> str:
        return f"{self.origin}/{self.life}/{self.epoch}/{self.position}"

    @classmethod
    def parse(cls, text: str) -> Bookmark:
        """Read ``str(bookmark)`` back; refuses anything else with ``bad_bookmark``."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise refuse(
                "bad_bookmark",
                "the bookmark is refused: it must read origin/life/epoch/position, such as us-east/28754526/1/42",
            )
        origin, life, epoch, position = match.groups()
        return cls(origin=origin, life=int(life), epoch=int(epoch), position=int(position))
