"""Numbers that are too long for a parser, made into one that is only too large, while a JSON text passes in pieces.

A JSON parser makes an object of each number before anybody can look at it. One of thousands of digits, or with an
exponent of dozens, makes it fail or crash. ``NumberBound`` hands on ``1e9999`` in its place: nobody stores that either,
and only the object that it is in is rejected for it. Strings, and everything else, pass as they came.

A number may come in several pieces: what may be the beginning of one is kept back until its end is seen. Of a number
that is too long already, no more digits are kept, so memory is bounded.
"""

from __future__ import annotations

import re

CHARACTERS_MAX = 1_000
EXPONENT_DIGITS_MAX = 16
TOO_LARGE = b"1e9999"

_DIGITS = b"0123456789"
_PARTS = _DIGITS + b"+-.eE"
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+([0-9]++))?+"
_BEGUN = re.compile(rb"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?)?")
_REST_OF_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|' + _NUMBER, re.DOTALL)
_ESCAPE = re.compile(rb"\\.", re.DOTALL)

# What tells cheaply that a piece holds nothing that is too long: in a copy of it each digit is 0, and no run of them is
# as long as one of the three runs of a long number must be, or follows an e as a long exponent does.
_SIMPLER = bytes.maketrans(b"123456789E-", b"0" * 9 + b"e+")
_LONG_RUN = b"0" * ((CHARACTERS_MAX - 5) // 3)
_LONG_EXPONENTS = (b"e" + b"0" * (EXPONENT_DIGITS_MAX + 1), b"e+" + b"0" * (EXPONENT_DIGITS_MAX + 1))


class NumberBound:
    """Takes pieces of a JSON text that are cut between escapes, and gives them on without numbers that are too long."""

    def __init__(self) -> None:
        self._in_string = False
        self._begun = b""

    def take(self, piece: bytes, *, last: bool) -> bytes:
        """What can be handed on now; it may be nothing until the last piece."""
        too_long = len(self._begun) > CHARACTERS_MAX and self._begun[-1:].isdigit()
        whole = self._begun + (piece.lstrip(_DIGITS) if too_long else piece)
        self._begun = b""
        ends_in_string = self._in_string ^ (_quotes(whole) & 1 == 1)
        if not last and not ends_in_string:
            whole, self._begun = _split_before_number(whole)
        if _may_be_long(whole):
            whole = self._bounded(whole)
        self._in_string = ends_in_string
        return whole

    def _bounded(self, text: bytes) -> bytes:
        start = 0
        if self._in_string:
            rest = _REST_OF_STRING.match(text)
            start = rest.end() if rest is not None else 0
        return text[:start] + _STRING_OR_NUMBER.sub(_in_bounds, text[start:])


def _in_bounds(match: re.Match[bytes]) -> bytes:
    text, exponent = match[0], match[1] or b""
    if text.startswith(b'"') or (len(text) <= CHARACTERS_MAX and len(exponent.lstrip(b"0")) <= EXPONENT_DIGITS_MAX):
        return text
    return TOO_LARGE


def _quotes(text: bytes) -> int:
    """How many quotation marks begin or end a string."""
    if b"\\\\" in text:
        return _ESCAPE.sub(b"", text).count(b'"')
    return text.count(b'"') - text.count(b'\\"')


def _may_be_long(text: bytes) -> bool:
    simpler = text.translate(_SIMPLER)
    return _LONG_RUN in simpler or any(exponent in simpler for exponent in _LONG_EXPONENTS)


def _split_before_number(text: bytes) -> tuple[bytes, bytes]:
    """Cut before the number that the text's end may be in the middle of."""
    cut = len(text.rstrip(_PARTS))
    begun = text[cut:]
    if _BEGUN.fullmatch(begun) is None:
        return text, b""
    digits = len(begun) - len(begun.rstrip(_DIGITS))
    superfluous = min(len(begun) - CHARACTERS_MAX - 1, digits - 1)
    return text[:cut], begun[:-superfluous] if superfluous > 0 else begun
