"""How large an answer may become, and which form of a statement keeps to that.

The largest object of each placement and of each tenant is known to the database, from above (``ig.largest``). Where the
objects that an operation may ask for are few enough, or small enough, nothing needs to be counted: the statement only
looks that this is so, by its placement's row, which it has read already, or else by its tenant's. Otherwise the same
operation is asked in a form that counts the bytes of all it makes.
"""

from __future__ import annotations

import functools
import re

from intelgraph.graph.query.statement import TENANT

ANSWER_BYTES_MAX = 16 * 1024 * 1024
"""What one statement makes at most; the same as `ig.answer_bytes_max`."""
OBJECT_BYTES_MAX = 12 * 1024 * 1024
"""No object is larger: the same as `ig.row_bytes_max`."""
_LARGEST = f"coalesce((select l.bytes from ig.largest l where l.tenant = {TENANT}), ig.small_bytes())"
FULL_OF_LARGEST = f"greatest(1, ig.page_bytes_max() / {_LARGEST})"
"""The SQL of how many of the tenant's objects fill a page, were they all the largest."""
ASKED = "->> 'status' = 'ok' then"
"""What stands in every statement before its data."""

_ASKED = re.compile(r"(\w+)\.r " + re.escape(ASKED))


@functools.lru_cache(maxsize=4096)
def object_bytes_max(objects: int) -> int | None:
    """Return how large each of so many objects may be, as a power of two; nothing if it may be as large as any is."""
    each = ANSWER_BYTES_MAX // max(1, objects)
    return None if each >= OBJECT_BYTES_MAX else 1 << (max(each, 1).bit_length() - 1)


@functools.lru_cache(maxsize=1024)
def guarded(text: str, bytes_max: int | None, *, by_tenant: bool = False) -> str:
    """Return a statement that makes its data only if no object of the placement, or of the tenant, is larger."""
    if bytes_max is None:
        return text
    largest = _LARGEST if by_tenant else r"(\1.r -> 'largest')::int"
    return _ASKED.sub(rf"\1.r ->> 'status' = 'ok' and {largest} <= {bytes_max} then", text, count=1)
