"""Cursors as a client meets them, made without the product's help: its executor in SQL and ours agree on their text."""

from __future__ import annotations

import hashlib


def cursor(list_name: str, place: str) -> str:
    """Make the cursor of a place in a list: the list's name, eight digits of a hash, the place."""
    digits = hashlib.md5(f"{list_name}:{place}".encode(), usedforsecurity=False).hexdigest()[:8]
    return f"{list_name}:{digits}:{place}"
