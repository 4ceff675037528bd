"""Which batches of an import the API has taken, so that the next run goes on where this one was stopped.

One JSON line for the import, one for each request before it is sent, one for each batch as it is done, appended at
once: whatever stops the process, at most the requests in flight are sent again, word for word under the same keys,
which changes nothing. A line that was cut off is ignored. The file holds hashes, numbers, and the ids and reasons of
what was refused; no content. A finished import deletes it.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

import msgspec

from intelgraph.graph.stix.rejects import Rejected
from intelgraph.model.errors import refuse

_FORMAT = 2


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """Which import this is. ``run`` sets apart two imports of one file that both ran to their end."""

    tenant: str
    replace: bool = False
    content_hash: str
    operations_max: int
    bytes_max: int
    run: str
    format: int = _FORMAT


class Sent(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="sent"):
    """One request that is about to be sent: of each operation of its batch the revision on which it depends, ``ABSENT``
    where the operation is not in the request."""

    kind: str
    number: int
    key: str
    revisions: tuple[int, ...]


class DoneBatch(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="done"):
    """One batch that the API has taken: with the keys it was sent under and what was taken out of it."""

    kind: str
    number: int
    objects: int
    bookmark: str | None
    keys: tuple[str, ...]
    unchanged: int = 0
    rejected: tuple[Rejected, ...] = ()


ABSENT = -1
_Line = DoneBatch | Sent


def check_is_journal(path: Path) -> None:
    """Refuse with ``bad_place`` a file that is there and is no journal: it would be replaced, and then deleted."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:  # a name too long, links in a circle
        raise refuse("bad_place", f"the journal {path} is refused: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode) or (found.st_size and _read(path) is None):
        raise refuse("bad_place", f"the journal {path} is refused: that file is there, and is no import's journal")


def new_run() -> str:
    """A name for a run that was not there before."""
    return secrets.token_hex(8)


class ImportJournal:
    """The journal of one run. ``done`` holds what earlier runs of the same import finished, by kind and number, and
    ``sent`` what they began of the rest."""

    def __init__(self, path: Path, heading: Heading, *, resume: bool) -> None:
        check_is_journal(path)
        self._path = Path(os.path.realpath(path))  # a link keeps leading to it
        self.done: dict[tuple[str, int], DoneBatch] = {}
        self.sent: dict[tuple[str, int], list[Sent]] = {}
        found = _read(path) if resume else None
        if found is not None and _is_same_import(found[0], heading):
            self.heading, lines = found
            self._recall(lines)
        else:
            self.heading = heading
        try:
            self._file = self._rewrite()
        except OSError as error:
            raise refuse(
                "journal_not_writable",
                f"the import is refused: its journal {path} cannot be written ({error.strerror}); "
                "--journal names another place",
            ) from error

    def _recall(self, lines: list[_Line]) -> None:
        for line in lines:
            if isinstance(line, DoneBatch):
                self.done[line.kind, line.number] = line
                self.sent.pop((line.kind, line.number), None)
            else:
                self.sent.setdefault((line.kind, line.number), []).append(line)

    def _rewrite(self) -> BinaryIO:
        begun = [line for lines in self.sent.values() for line in lines]
        known = (self.heading, *self.done.values(), *begun)
        whole = b"".join(msgspec.json.encode(line) + b"\n" for line in known)
        descriptor, fresh = tempfile.mkstemp(prefix=".intelgraph-import-", suffix=".new", dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(whole)
            Path(fresh).replace(self._path)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
        return self._path.open("ab", buffering=0)

    def note(self, line: _Line) -> None:
        """Remember a request before it is sent, or a batch that the API has taken."""
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise refuse(
                "journal_not_writable",
                f"the import stops: its journal {self._path} cannot be written ({error.strerror}); "
                "the same command goes on, --journal names another place",
            ) from error

    def forget(self, batch: DoneBatch) -> None:
        """A batch noted earlier is not in the log after all."""
        self.done.pop((batch.kind, batch.number), None)

    def close(self) -> None:
        """Leave the file for the next run."""
        self._file.close()

    def delete(self) -> None:
        """The import is complete."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _is_same_import(found: Heading, asked: Heading) -> bool:
    return msgspec.structs.replace(found, run="") == msgspec.structs.replace(asked, run="")


def _read(path: Path) -> tuple[Heading, list[_Line]] | None:
    """The journal at ``path``; None when there is none that can be read."""
    try:
        first, *rest = path.read_bytes().split(b"\n")
        heading = msgspec.json.decode(first, type=Heading)
    except (OSError, msgspec.DecodeError, ValueError):
        return None
    lines: list[_Line] = []
    for line in rest:
        try:
            lines.append(msgspec.json.decode(line, type=_Line))
        except (msgspec.DecodeError, ValueError):
            continue
    return heading, lines
