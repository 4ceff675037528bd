"""The content digest of a tenant: equal in every region, and equal after export and import.

SHA-256 over one line per object, entities before relationships, each in ascending order of id by code point. A line is
the object's canonical JSON (members sorted by name, no spaces, numbers in their one form, times with microseconds, the
kind included, the revision and empty fields left out) followed by a line feed. One object is held at a time.

It speaks of *content*: who wrote what when, positions and revisions are the log digest's business.
"""

from __future__ import annotations

import hashlib

from intelgraph.graph.objects import GraphObject, normal_object
from intelgraph.graph.objects import canonical_json as canonical_value
from intelgraph.model.errors import refuse


def canonical_json(thing: GraphObject) -> bytes:
    """The bytes that stand for one object in the digest."""
    return canonical_value(normal_object(thing))


class ContentDigest:
    """Takes a tenant's objects in order and gives the digest of what it has seen; ``entities`` and ``relationships``
    count them. An object out of order is refused with ``digest_order``, because the digest would mean nothing."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._last: tuple[str, str] | None = None
        self.entities = 0
        self.relationships = 0

    def add(self, thing: GraphObject) -> None:
        """Take the next object."""
        place = (thing.kind, thing.id)
        if self._last is not None and place <= self._last:
            raise refuse(
                "digest_order",
                f"the content digest is refused: the {thing.kind} after another did not follow it in (kind, id) order",
            )
        self._last = place
        self._hash.update(canonical_json(thing))
        self._hash.update(b"\n")
        if thing.kind == "entity":
            self.entities += 1
        else:
            self.relationships += 1

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()
