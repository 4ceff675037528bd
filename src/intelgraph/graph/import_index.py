"""Which ids a file holds, so that duplicates and dangling references are told in bounded memory.

A temporary SQLite database of ids and times without content (``import_index.sql``). Of several forms of one id the one
with the newest ``modified`` is taken; of equal ones the first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from enum import Enum
from importlib import resources

from intelgraph.graph.objects import GraphObject, Kind, Relationship


class Claim(Enum):
    """What an object is among those before it in the file."""

    FIRST = "first"
    NEWER = "newer"
    SAME = "same"
    OLDER = "older"


class ImportIndex:
    """The ids of one file. Not for several threads."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # on disk, without a name
        self._database.execute("pragma journal_mode = off")
        self._database.execute("pragma synchronous = off")
        self._database.execute("pragma cache_size = -16000")
        self._database.executescript(resources.files(__package__).joinpath("import_index.sql").read_text())
        self._database.execute("begin")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def claim(self, thing: GraphObject, *, line: int, position: int) -> tuple[Claim, int]:
        """Enter an object whose form would be at ``line``; with the claim comes the position of the form before it."""
        taken = self._database.execute(
            "insert or ignore into object (kind, id, modified, line, position) values (?, ?, ?, ?, ?)",
            (thing.kind, thing.id, thing.updated, line, position),
        ).rowcount
        if taken == 1:
            self._enter_ends(thing)
            return Claim.FIRST, position
        modified, old_line, old_position = self._database.execute(
            "select modified, line, position from object where kind = ? and id = ?", (thing.kind, thing.id)
        ).fetchone()
        if thing.updated <= modified:
            return (Claim.SAME if thing.updated == modified else Claim.OLDER), old_position
        self._database.execute("insert into replaced (kind, line) values (?, ?)", (thing.kind, old_line))
        self._database.execute(
            "update object set modified = ?, line = ?, position = ? where kind = ? and id = ?",
            (thing.updated, line, position, thing.kind, thing.id),
        )
        self._enter_ends(thing)
        return Claim.NEWER, old_position

    def _enter_ends(self, thing: GraphObject) -> None:
        if isinstance(thing, Relationship):
            self._database.executemany(
                "insert or ignore into endpoint (id) values (?)", ((thing.source,), (thing.target,))
            )

    def replaced_lines(self, kind: Kind) -> Iterator[int]:
        """Lines of ``kind`` to leave out, ascending."""
        rows = self._database.execute("select line from replaced where kind = ? order by line", (kind,))
        return (line for (line,) in rows)

    def count(self, kind: Kind) -> int:
        """How many objects of ``kind`` are to be imported."""
        (number,) = self._database.execute("select count(*) from object where kind = ?", (kind,)).fetchone()
        return int(number)

    def position(self, kind: Kind, object_id: str) -> int | None:
        """Where in the file the taken form of an object is."""
        row = self._database.execute(
            "select position from object where kind = ? and id = ?", (kind, object_id)
        ).fetchone()
        return None if row is None else int(row[0])

    def note_refused_entity(self, object_id: str) -> None:
        """The door did not take this entity: only what the tenant holds already can be an endpoint now."""
        self._database.execute("update object set refused = 1 where kind = 'entity' and id = ?", (object_id,))

    def unknown_endpoints(self, after: str, limit: int) -> list[str]:
        """Up to ``limit`` endpoints that the file does not bring, in order, after the id ``after``."""
        rows = self._database.execute(
            "select e.id from endpoint e left join object o on o.kind = 'entity' and o.id = e.id and o.refused = 0"
            " where e.id > ? and o.id is null order by e.id limit ?",
            (after, limit),
        )
        return [object_id for (object_id,) in rows]

    def note_absent(self, entity_id: str) -> None:
        """This endpoint is not in the tenant either."""
        self._database.execute("update endpoint set absent = 1 where id = ?", (entity_id,))

    def absent_endpoints(self) -> int:
        """How many endpoints are nowhere."""
        (number,) = self._database.execute("select count(*) from endpoint where absent = 1").fetchone()
        return int(number)

    def is_absent(self, object_id: str) -> bool:
        """Whether this endpoint is nowhere."""
        row = self._database.execute("select absent from endpoint where id = ?", (object_id,)).fetchone()
        return row is not None and row[0] == 1
