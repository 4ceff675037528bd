"""A write's ``Idempotency-Key``: 1 to 255 visible ASCII characters, plain or quoted. Pure."""

from __future__ import annotations

import re

from intelgraph.api.http.request import Request
from intelgraph.model.errors import refuse

_KEY_LENGTH_MAX = 255
_QUOTED = re.compile(rb'"((?:[^"\\]|\\["\\])*+)"')
_ESCAPED = re.compile(rb"\\(.)")


def idempotency_key(request: Request) -> str:
    """Return the request's key; refuses with ``key_required`` what ``checked_key`` does."""
    return checked_key(request.headers.get(b"idempotency-key", b""))


def checked_key(value: bytes) -> str:
    """Return a key's text if it is 1 to 255 visible ASCII characters; else ``key_required``.

    It may be quoted, as the IETF's draft writes it (a string of RFC 9651): the quotes are not part of it, and spaces
    may be.
    """
    key, lowest = value, 0x21
    if value.startswith(b'"'):
        quoted = _QUOTED.fullmatch(value)
        key, lowest = (_ESCAPED.sub(rb"\1", quoted[1]), 0x20) if quoted else (b"", 0x21)
    if not 1 <= len(key) <= _KEY_LENGTH_MAX or not all(lowest <= byte <= 0x7E for byte in key):
        raise refuse(
            "key_required",
            f"the request is refused: an Idempotency-Key of 1 to {_KEY_LENGTH_MAX} visible ASCII characters is needed",
            length=len(key),
            limit=_KEY_LENGTH_MAX,
        )
    return key.decode("ascii")
