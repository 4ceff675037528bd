"""Cursors as ``ig.page_cursor`` makes them."""

from __future__ import annotations

import hashlib


def cursor(list_name: str, place: str) -> str:
    """The cursor of a place in a list."""
    text = f"{list_name}:{place}".encode()
    return f"{list_name}:{hashlib.md5(text, usedforsecurity=False).hexdigest()[:8]}:{place}"
