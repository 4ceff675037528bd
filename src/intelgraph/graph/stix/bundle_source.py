"""The bytes of a bundle, whatever they came in: a file, gzip, standard input, a generator of pieces.

A ``BundleSource`` is read once, in pieces. It undoes gzip (told by its first two bytes, not by a name), refuses what
its first bytes tell to be something else (``file_kinds``), drops a byte order mark, hashes what it hands on
(``content_hash``), counts what it took from below (``bytes_taken``, for a progress bar) and refuses a single JSON token
that would not fit in memory. What the parser would not survive or would silently change is handed on as something else
that cannot be stored, so that only the object that it is in is rejected for it: a lone surrogate escape as ``\\u0000``,
a number that is too long as one that is too large (``long_numbers``).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Protocol, cast

from intelgraph.graph.stix.file_kinds import HEAD_BYTES, foreign_bytes
from intelgraph.graph.stix.long_numbers import NumberBound
from intelgraph.model.errors import refuse

_GZIP, _MARK = b"\x1f\x8b", b"\xef\xbb\xbf"
TOKEN_BYTES_MAX = 16 * 1024 * 1024
_PIECE_BYTES = 64 * 1024
# An escape, and whether it is half of a surrogate pair. Every escape is matched, so that an escaped backslash is not
# taken for the start of the next one.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class BundleSource:
    """A readable of UTF-8 JSON over ``raw``; reset ``idle_bytes`` whenever a token came out. ``text_bytes`` counts what
    was read of the text, uncompressed: the parser has seen no more."""

    def __init__(self, raw: BinaryIO) -> None:
        self._counted = _Counted(raw)
        self._hash = hashlib.sha256()
        self._carried = b""
        self._numbers = NumberBound()
        self._stream: _Readable | None = None
        self.idle_bytes = 0
        self.text_bytes = 0

    @property
    def bytes_taken(self) -> int:
        """Bytes read from below so far (compressed ones, if it is compressed)."""
        return self._counted.count

    @property
    def content_hash(self) -> str:
        """SHA-256 of everything handed on so far, in hexadecimal digits."""
        return self._hash.hexdigest()

    def read(self, _size: int = -1) -> bytes:
        """The next piece, empty at the end; any size, because the parser only asks for more."""
        if _size == 0:
            return b""
        while True:
            piece = self._next_piece()
            self.text_bytes += len(piece)
            self.idle_bytes += len(piece)
            if self.idle_bytes > TOKEN_BYTES_MAX:
                raise refuse(
                    "value_too_large",
                    f"the file is refused: one value in it is larger than {TOKEN_BYTES_MAX // 1024**2} MiB",
                    limit_bytes=TOKEN_BYTES_MAX,
                )
            whole = self._mend(self._carried + piece, last=not piece)
            if whole or not piece:
                break
        self._hash.update(whole)
        return whole

    def _next_piece(self) -> bytes:
        try:
            if self._stream is None:
                self._stream = self._open()
            return self._stream.read(_PIECE_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise refuse("bad_gzip", f"the file is refused: its gzip data is broken ({error})") from error

    def _open(self) -> _Readable:
        head = _read_fully(self._counted, len(_GZIP))
        below: _Readable = _Prefixed(head, self._counted)
        if head == _GZIP:
            below = gzip.GzipFile(fileobj=cast(BinaryIO, below))
        text = _read_fully(below, HEAD_BYTES).removeprefix(_MARK)
        foreign = foreign_bytes(text)
        if text.startswith(_GZIP) and head != _GZIP:
            remedy = "tail -c +4 FILE | intelgraph import -"
            raise refuse("bad_gzip", f"the file is refused: a byte order mark stands before its gzip data; {remedy}")
        if text.startswith(_GZIP):
            raise refuse("bad_gzip", "the file is refused: it is compressed twice; zcat FILE | intelgraph import -")
        if foreign is not None:
            raise refuse("not_json", f"the file is refused: {foreign.sentence}")
        return _Prefixed(text, below)

    def _mend(self, piece: bytes, *, last: bool) -> bytes:
        self._carried = b""
        if b"\\" in piece:
            if not last:
                piece, self._carried = _split_between_escapes(piece)
            if b"\\ud" in piece or b"\\uD" in piece:
                piece = _ESCAPE.sub(lambda match: b"\\u0000" if match[1] else match[0], piece)
        return self._numbers.take(piece, last=last)


def _split_between_escapes(piece: bytes) -> tuple[bytes, bytes]:
    """Cut where no escape can be open: after the last character that can only end one, never continue it."""
    cut = 1 + max(piece.rfind(end) for end in (b'"', b",", b" ", b"}", b"."))
    return piece[:cut], piece[cut:]


class _Counted(io.RawIOBase):
    """Counts what is read from ``raw``."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__()
        self._raw = raw
        self.count = 0

    def read(self, size: int = -1, /) -> bytes:
        piece = self._raw.read(size)
        self.count += len(piece)
        return piece


class _Prefixed(io.RawIOBase):
    """Gives ``head`` first and then what ``rest`` has."""

    def __init__(self, head: bytes, rest: _Readable) -> None:
        super().__init__()
        self._head = head
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._rest.read(size)


def _read_fully(raw: _Readable, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = raw.read(size - len(got))
        if not piece:
            break
        got += piece
    return got


class PieceReader(io.RawIOBase):
    """Makes a generator of byte pieces readable."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._left = b""

    def read(self, size: int = -1, /) -> bytes:
        if not self._left:
            self._left = next(self._pieces, b"")
        if size < 0:
            size = len(self._left)
        piece, self._left = self._left[:size], self._left[size:]
        return piece
