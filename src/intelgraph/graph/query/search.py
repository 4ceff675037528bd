"""What a text finds among a tenant's entities, when only the first of it are asked for.

Words are found by their index, unless more than ``HITS_MAX`` entities have them: then any page is soon full, and the
tenant's entities are looked through in the page's order instead. Whether there are more is told by an end mark: a last
row behind all that is found, which the limit cuts off when there are too many. Its empty id, which no entity has, sorts
it first. So what is found is read once and kept nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from intelgraph.graph.query.selection import Selected

HITS_MAX = 5_000
_SMALL: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "id": ("id", "text"),
        "type": ("type", "text"),
        "name": ("name", "text"),
        "confidence": ("confidence", "int"),
        "revision": ("revision", "bigint"),
        "created": ("created", "timestamptz"),
        "updated": ("updated", "timestamptz"),
        "validFrom": ("valid_from", "timestamptz"),
        "validUntil": ("valid_until", "timestamptz"),
    }
)
"""Fields of an entity whose columns are so small that they are read of all that is found, and their columns' types."""
COLUMNS: Mapping[str, str] = MappingProxyType(dict(_SMALL.values()))
"""Those columns, and their types."""


def is_small(items: Selected) -> bool:
    """Whether all that is asked of each entity is small."""
    return all(field.name in _SMALL or field.name == "__typename" for field in items.only())


def first_found(item: str, alias: str, live: str, in_order: str, limit: str) -> str:
    """Return the SQL of a list of texts: ``item`` of the first entities by id, at most ``limit``.

    ``live`` is what stands behind FROM to find them, as ``e``, by their index; ``in_order`` is the
    query of them by the order's index, with ``<columns>`` for what is read. The statement as a whole is not run in
    parallel (``set_config`` forbids it), so the end mark comes last.
    """
    used = sorted({"id", *re.findall(rf"\b{alias}\.(\w+)", item)})
    columns = ", ".join(f"e.{name}" for name in used)
    end = ", ".join("''::text" if name == "id" else f"null::{COLUMNS[name]}" for name in used)
    found = f"select {columns} from {live} union all select {end} limit {HITS_MAX} + 1"
    first = f"select * from ({found}) e order by e.id limit {limit} + 1"
    texts = f"array(select case when {alias}.id <> '' then {item} end from ({first}) {alias})"
    others = f"array(select {item} from ({in_order.replace('<columns>', columns)}) {alias})"
    return (
        f"(select case when t.found[1] is null then t.found else {others} end from (select {texts} offset 0) t (found))"
    )
