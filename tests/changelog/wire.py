"""What travels between regions in a history: entries of a stream, read back into the model's rows.

For: parsing what the databases wrote into the values of the model, and naming them as the databases do. What belongs
to a history as a whole is in `world`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from intelgraph.changelog.model.append import ANY_TIME
from intelgraph.changelog.model.holding import Holding
from intelgraph.changelog.model.log import Identity, Kind, Object, Opening, Ranges, Row, Writer, opens

from .regions import Json

#: What a database may say of a write that its epoch, home or size forbids.
FENCES = {"unknown_placement", "fenced", "not_home", "held", "closing", "too_many_operations"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of a replication stream; ``rows`` are the rows of the log it brings."""

    content: Json
    rows: tuple[Row, ...]
    mark: bool = False
    compacted: frozenset[Identity] = frozenset()

    @property
    def opens(self) -> bool:
        return any(row.kind is Kind.OPEN for row in self.rows)


def parse_ranges(multirange: str) -> Ranges:
    """``{[1,4),[6,7)}`` as inclusive ranges."""
    found = multirange.strip("{}").replace("),", ") ").split()
    pairs = [part.strip("[)").split(",") for part in found]
    return tuple((int(low), int(high) - 1) for low, high in pairs)


def parse_row(content: Json, truth: dict[Identity, Row]) -> Row:
    """A row as it travels; a reissued one may have been redacted, so what it touched is taken from the original."""
    identity = Identity(content["origin"], content["life"], content["position"])
    body = content["body"] or {}
    kind = Kind(content["kind"])
    opening = None
    if kind is Kind.OPEN:
        cut = {Writer(one["origin"], one["life"]): parse_ranges(one["held"]) for one in body["cut"]}
        opening = Opening(regions=frozenset(body["regions"]), cut=cut)
    objects = tuple(body.get("objects", ()))
    named = frozenset(Identity(one["origin"], one["life"], one["position"]) for one in body.get("rows", ()))
    original = truth.get(identity)
    return Row(
        identity=identity,
        epoch=content["epoch"],
        kind=kind,
        digest=int(content["digest"].removeprefix("\\x")[:16], 16),
        version=content["version"],
        tenant=content["tenant"],
        key=content["key_hash"] and content["key_hash"].removeprefix("\\x"),
        request=content["request_hash"] and content["request_hash"].removeprefix("\\x"),
        replicate_to=frozenset(content["replicate_to"]),
        objects=objects,
        touched=original.touched if original else frozenset(item["id"] for item in objects),
        opening=opening,
        named=named,
    )


def members_of(holding: Holding) -> frozenset[str]:
    """The regions that the highest open in force in a holding names."""
    highest = next(iter(opens(holding.rows)), None)
    return frozenset() if highest is None or highest.opening is None else highest.opening.regions


def members_read_of(holding: Holding) -> frozenset[str]:
    """The same, of the rows that the region can read."""
    return members_of(replace(holding, rows={k: r for k, r in holding.rows.items() if k not in holding.unread}))


def bookmark(row: Row) -> str:
    origin, life, position = row.identity
    return f"{origin}/{life}/{row.epoch}/{position}"


def same_objects(expected: Any, found: Sequence[Object]) -> bool:
    """Objects are compared as sets; ``ANY_TIME`` in the expected ones stands for any."""

    def named(items: Any) -> dict[tuple[str, str], Object]:
        return {(item["kind"], item["id"]): item for item in items}

    wanted, present = named(expected), named(found)
    if wanted.keys() != present.keys() or len(present) != len(list(found)):
        return False
    return all(
        item.keys() == present[key].keys()
        and all(value in (ANY_TIME, present[key][name]) for name, value in item.items())
        for key, item in wanted.items()
    )
