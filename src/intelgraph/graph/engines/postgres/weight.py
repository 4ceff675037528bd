"""How large an answer may become, and which form of a statement keeps to that.

The largest object of each placement and of each tenant is known to the database, from above (``ig.largest``). Where the
objects that an operation may ask for are few enough, or small enough, nothing needs to be counted: the statement only
looks that this is so, by its placement's row, which it has read already, or else by its tenant's. Otherwise the same
operation is asked in a form that counts the bytes of all it makes.
"""

from __future__ import annotations

import functools

from intelgraph.graph.engines.postgres.builder import TENANT
from intelgraph.graph.engines.postgres.nodes import (
    Cast,
    Column,
    Expression,
    Infix,
    Number,
    Scalar,
    Select,
    Table,
    Text,
    call,
    equal,
)

ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""What one statement makes at most; the same as `ig.answer_bytes_max`."""
OBJECT_BYTES_MAX = 12 * 1024 * 1024
"""No object is larger: the same as `ig.row_bytes_max`."""
_OF_TENANT = Scalar(
    Select((Column("l", "bytes"),), (Table("ig.largest", "l"),), where=equal(Column("l", "tenant"), TENANT))
)
LARGEST_OF_TENANT = call("coalesce", _OF_TENANT, call("ig.small_bytes"))
"""The bytes of the tenant's largest object, from above."""
FULL_OF_LARGEST = call("greatest", Number(1), Infix(call("ig.page_bytes_max"), "/", LARGEST_OF_TENANT))
"""How many of the tenant's objects fill a page, were they all the largest."""


@functools.lru_cache(maxsize=4096)
def object_bytes_max(objects: int) -> int | None:
    """Return how large each of so many objects may be, as a power of two; nothing if it may be as large as any is."""
    each = ANSWER_BYTES_MAX // max(1, objects)
    return None if each >= OBJECT_BYTES_MAX else 1 << (max(each, 1).bit_length() - 1)


def is_small_enough(answer: str, bytes_max: int, *, by_tenant: bool) -> Expression:
    """Return the condition that no object of the tenant, or else of the placement, is larger.

    ``answer`` names the row that has what was read of the placement.
    """
    of_placement = Cast(Infix(Column(answer, "r"), "->", Text("largest")), "int")
    return Infix(LARGEST_OF_TENANT if by_tenant else of_placement, "<=", Number(bytes_max))
