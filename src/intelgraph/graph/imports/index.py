"""Which ids a file holds, so that what occurs twice and what dangles is told in bounded memory.

A temporary SQLite database of ids, times and hashes without content (``index.sql``). Of several forms of one id
the one with the newest ``modified`` is taken; of forms of one time that differ, the one with the greatest hash. So what
is taken, and what becomes of the others, depends on the forms and never on their order in the file.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from intelgraph.graph.objects import GraphObject, Kind, Relationship
from intelgraph.graph.stix.versions import Version


@dataclass(frozen=True, kw_only=True)
class Superfluous:
    """A form that is not taken: ``code`` says why, ``taken`` is the position of the form that is."""

    position: int
    id: str
    code: str
    taken: int


class ImportIndex:
    """The ids of one file. Not for several threads."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # on disk, without a name
        self._database.execute("pragma journal_mode = off")
        self._database.execute("pragma synchronous = off")
        self._database.execute("pragma cache_size = -16000")
        self._database.executescript(resources.files(__package__).joinpath("index.sql").read_text())
        self._database.execute("begin")

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def claim(self, thing: GraphObject, version: Version, operation: bytes, *, line: int, position: int) -> bool:
        """Enter a form that would be sent as ``operation`` and be at ``line``; whether it counts, as far as is read."""
        exact = hashlib.sha256(operation).digest()[:16]
        taken = self._database.execute(
            "insert or ignore into object (kind, id, modified, content, exact, line, position)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            (thing.kind, thing.id, version.modified, version.content, exact, line, position),
        ).rowcount
        if taken == 0:
            row = self._database.execute(
                "select modified, content, exact, line, position from object where kind = ? and id = ?",
                (thing.kind, thing.id),
            ).fetchone()
            if (version.modified, version.content, exact) <= row[:3]:
                self._enter_other(thing, version.modified, version.content, position)
                return False
            self._enter_other(thing, row[0], row[1], row[4])
            self._database.execute("insert into replaced (kind, line) values (?, ?)", (thing.kind, row[3]))
            self._database.execute(
                "update object set modified = ?, content = ?, exact = ?, line = ?, position = ?"
                " where kind = ? and id = ?",
                (version.modified, version.content, exact, line, position, thing.kind, thing.id),
            )
        self._enter_ends(thing)
        return True

    def _enter_other(self, thing: GraphObject, modified: str, content: bytes, position: int) -> None:
        self._database.execute(
            "insert into other (kind, id, modified, content, position) values (?, ?, ?, ?, ?)",
            (thing.kind, thing.id, modified, content, position),
        )

    def _enter_ends(self, thing: GraphObject) -> None:
        if isinstance(thing, Relationship):
            self._database.executemany(
                "insert or ignore into endpoint (id) values (?)", ((thing.source,), (thing.target,))
            )

    def superfluous(self) -> Iterator[Superfluous]:
        """The forms that are not taken, in file order; ask when the whole file is read."""
        rows = self._database.execute(
            "select f.position, f.id, o.position, case when f.modified < o.modified then 'older_version'"
            " when f.content = o.content then 'duplicate' else 'contradiction' end"
            " from other f join object o on o.kind = f.kind and o.id = f.id order by f.position"
        )
        return (
            Superfluous(position=position, id=object_id, code=code, taken=taken)
            for position, object_id, taken, code in rows
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
        """The API did not take this entity: only what the tenant holds already can be an endpoint now."""
        self._database.execute("update object set refused = 1 where kind = 'entity' and id = ?", (object_id,))

    def unknown_endpoints(self, after: str, limit: int) -> list[str]:
        """Up to ``limit`` endpoints that the file does not bring, in order, after the id ``after``."""
        rows = self._database.execute(
            "select e.id from endpoint e left join object o on o.kind = 'entity' and o.id = e.id and o.refused = 0"
            " where e.id > ? and o.id is null order by e.id limit ?",
            (after, limit),
        )
        return [object_id for (object_id,) in rows]

    def note_absent(self, object_id: str, why: str) -> None:
        """This endpoint is no entity of the tenant either; ``why`` says what it is."""
        self._database.execute("update endpoint set absent = ? where id = ?", (why, object_id))

    def absent_endpoints(self) -> int:
        """How many endpoints cannot be ends."""
        (number,) = self._database.execute("select count(*) from endpoint where absent is not null").fetchone()
        return int(number)

    def why_absent(self, object_id: str) -> str | None:
        """Why this endpoint cannot be an end; None when it can."""
        row = self._database.execute("select absent from endpoint where id = ?", (object_id,)).fetchone()
        return None if row is None else row[0]

    def is_refused(self, object_id: str) -> bool:
        """Whether the file brings this entity and the API did not take it."""
        row = self._database.execute(
            "select 1 from object where kind = 'entity' and id = ? and refused = 1", (object_id,)
        ).fetchone()
        return row is not None
