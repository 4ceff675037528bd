"""Text from outside, such that a person may look at it: in a terminal, a log, a page.

What a tenant, a file name or another process wrote may hold anything: sequences that move the cursor, set a terminal's
title or its colours, line feeds that forge a line, marks that turn the direction of the text around it. ``printable``
is the one function that makes such text harmless. JSON needs no such loss: ``json_text`` escapes the same characters in
JSON's own way, which every reader turns back into the exact text.
"""

from __future__ import annotations

import html
import json
import re
from typing import Any

import msgspec

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_NOT_ASCII_PRINTABLE = re.compile(r"[^ -~]")


def printable(text: str) -> str:
    """``text`` on one line, everything in it that is no visible character or space written as an escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def json_text(value: Any) -> str:
    """``value`` as JSON on one line, exact, and of visible characters only."""
    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # half of a surrogate pair: a file name that is no UTF-8
        text = json.dumps(msgspec.to_builtins(value))
    if text.isprintable():
        return text
    return _NOT_ASCII_PRINTABLE.sub(lambda found: found[0] if found[0].isprintable() else _in_json(found[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    return _SHORT.get(character) or (f"\\u{code:04x}" if code < 0x1_0000 else f"\\U{code:08x}")


def _in_json(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def in_markup(text: str) -> str:
    """``printable`` text for a page of HTML or SVG: no markup either."""
    return html.escape(printable(text))
