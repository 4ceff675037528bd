"""What clients were told, and when: the operations of a drill as values, and the file that keeps them.

A history is one ``Header`` and then, in the order in which they ended, ``Operation``s and ``Mark``s (a fault, a heal, a
note). Times are seconds of one monotonic clock since the header. The file is JSON Lines, one value a line, written as
the drill goes on with bounded memory, and read back equal; the last line of a file whose writer was killed may be cut
short and is then left out.

An operation's ``outcome`` is what its client may conclude and no more: ``ok`` was acknowledged, ``fail`` certainly did
not happen, ``unknown`` may have happened, may happen later, or may never happen. Nothing ever turns an unknown into
one of the others. Judging does not belong here (``checker``), nor does counting (``score``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from intelgraph.model.bookmark import Bookmark
from intelgraph.model.errors import refuse

FORMAT = 1
FAULT, HEAL, END = "fault", "heal", "end"
"""What marks say: a fault was injected, it was healed, the clients stopped (what follows is only looking)."""
_BUFFER_BYTES = 262_144
REVISIONS_OF_AN_EPOCH = 2**32


def may_be_revision(made: int | None, seen: int | None) -> bool:
    """Whether a write that was sent for the revision ``made`` may have made the one that was ``seen``.

    An epoch of a placement counts on by one; another epoch has other revisions, whatever they were counted on from. A
    write whose row was left behind with a lost home and written again under its key has made one in each.
    """
    if made is None or seen is None:
        return made == seen
    return made == seen or (made - 1) // REVISIONS_OF_AN_EPOCH != (seen - 1) // REVISIONS_OF_AN_EPOCH


class Outcome(Enum):
    """What the client may conclude."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Kind(Enum):
    """What was asked for. Each write touches its objects in one request, hence in one transaction."""

    INSERT = "insert"
    """Make objects that were not there (a set of them)."""
    MEMBERS = "members"
    """Read which objects of the set are there: the last one of each region is what that region holds in the end."""
    PUT = "put"
    """Write a register blindly."""
    GET = "get"
    """Read a register."""
    APPEND = "append"
    """Append an element to each of some lists, compare-and-set."""
    LISTS = "lists"
    """Read some lists in one statement."""
    DEPOSIT = "deposit"
    """Open the accounts of a bank with their balances."""
    TRANSFER = "transfer"
    """Move an amount between accounts, compare-and-set."""
    ACCOUNTS = "accounts"
    """Read all accounts in one statement."""
    RELATE = "relate"
    """Make an edge between nodes, most times together with one of them."""
    DELETE = "delete"
    """Delete a node, and its edges with it, or an edge."""
    GRAPH = "graph"
    """Read some nodes, each with its edges, in one statement."""
    PAGES = "pages"
    """Read the set page by page while clients write."""
    FOLLOW = "follow"
    """Receive changes from a subscription, from one connection's opening to its end."""


WRITES = frozenset({Kind.INSERT, Kind.PUT, Kind.APPEND, Kind.DEPOSIT, Kind.TRANSFER, Kind.RELATE, Kind.DELETE})


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One object of an operation.

    ``value`` is what a write writes (a register's value, a list's new element, a balance) and what the read of a
    register or an account saw (``None``: nothing is there). ``elements`` is the list that a read of a list saw, or that
    an append makes if it happens. ``revision`` is the object's, after the write or as it was read; 0 is not there.
    ``ends`` are an edge's source and target.
    """

    object: str
    value: int | None = None
    elements: tuple[int, ...] | None = None
    revision: int | None = None
    ends: tuple[str, str] | None = None


class Setback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try of an operation that did not settle it, and what it was told."""

    at_s: float
    code: str
    region: str | None = None
    retry_after_s: float | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="is", tag="operation"):
    """One operation of one client, all its tries together.

    ``door`` is the region whose door the client prefers; ``region`` the one that answered. ``bookmark`` is the row of
    an acknowledged write, or of the state that a read saw; ``carried`` what a read had to see. ``staleness_ms`` is the
    answer's own bound of its age. ``repeated``: the answer was the first outcome of a key that had been written before.
    ``members`` are the ids that a read of the set saw, or the bookmarks that a subscription told, in order.
    """

    id: int
    client: str
    door: str
    kind: Kind
    placement: str
    tenant: str
    invoked_s: float
    completed_s: float
    outcome: Outcome
    steps: tuple[Step, ...] = ()
    members: tuple[str, ...] = ()
    key: str | None = None
    patient: bool = False
    carried: str | None = None
    bookmark: str | None = None
    durability: str | None = None
    region: str | None = None
    staleness_ms: float | None = None
    repeated: bool = False
    retry_after_s: float | None = None
    code: str | None = None
    setbacks: tuple[Setback, ...] = ()

    def __post_init__(self) -> None:
        if self.completed_s < self.invoked_s:
            raise ValueError(f"operation {self.id} ends at {self.completed_s} before it begins at {self.invoked_s}")
        if self.outcome is Outcome.UNKNOWN and self.kind not in WRITES:
            raise ValueError(f"operation {self.id} is a read: without an answer it has failed, it is not unknown")

    @property
    def is_write(self) -> bool:
        """Whether it would change something."""
        return self.kind in WRITES

    @property
    def acknowledged(self) -> bool:
        """Whether its client was told that it happened."""
        return self.outcome is Outcome.OK

    @property
    def at(self) -> Bookmark | None:
        """The bookmark of the answer."""
        return None if self.bookmark is None else Bookmark.parse(self.bookmark)

    @property
    def since_s(self) -> float:
        """The earliest instant whose state the answer may show: a read may be as old as it says, a write may not.

        A read that does not know its age may be as old as the history.
        """
        if self.is_write:
            return self.invoked_s
        return float("-inf") if self.staleness_ms is None else self.invoked_s - self.staleness_ms / 1000


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="is", tag="mark"):
    """Something that was done to the fleet or seen of it: ``what`` is ``FAULT``, ``HEAL``, ``END`` or a short word."""

    at_s: float
    what: str
    detail: str = ""


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="is", tag="history"):
    """What a history is about. ``regions`` maps each placement to every region that must hold its data in the end."""

    began: str
    regions: dict[str, tuple[str, ...]]
    seed: int = 0
    format: int = FORMAT


Line = Header | Operation | Mark
_LINE = msgspec.json.Decoder(Line)


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A whole history in memory."""

    header: Header
    operations: tuple[Operation, ...] = ()
    marks: tuple[Mark, ...] = ()

    def without(self, operations: Iterable[Operation]) -> History:
        """The same history with other operations."""
        return msgspec.structs.replace(self, operations=tuple(operations))

    @property
    def until_s(self) -> float:
        """When the last thing in it ended."""
        ends = [operation.completed_s for operation in self.operations] + [mark.at_s for mark in self.marks]
        return max(ends, default=0.0)


class HistoryWriter:
    """Writes a history as it happens; holds ``_BUFFER_BYTES`` of it at most. A context; any thread may use it."""

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        self._header = header
        self._file: IO[bytes] | None = None
        self._buffer = bytearray()
        self._alone = threading.RLock()

    def __enter__(self) -> HistoryWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("wb")
        self._write(self._header)
        self.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()

    def operation(self, operation: Operation) -> None:
        """Keep an operation that has ended."""
        self._write(operation)

    def mark(self, mark: Mark) -> None:
        """Keep a mark, at once: what was done to the fleet must be known even if the drill dies."""
        self._write(mark)
        self.flush()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        with self._alone:
            if self._file is not None:
                self._file.write(self._buffer)
                self._file.flush()
                self._buffer.clear()

    def _write(self, line: Line) -> None:
        written = msgspec.json.encode(line) + b"\n"
        with self._alone:
            self._buffer += written
            if len(self._buffer) >= _BUFFER_BYTES:
                self.flush()


def read_history(path: Path) -> History:
    """Read a history back; refuses with ``bad_history`` a file that is none."""
    header: Header | None = None
    operations: list[Operation] = []
    marks: list[Mark] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                value: Line = _LINE.decode(line)
            except (msgspec.DecodeError, ValueError) as error:
                raise _bad(path, f"line {number} cannot be read: {error}") from error
            if isinstance(value, Operation):
                operations.append(value)
            elif isinstance(value, Mark):
                marks.append(value)
            else:
                header = value
    if header is None or header.format != FORMAT:
        raise _bad(path, f"it has no header of format {FORMAT}")
    return History(header=header, operations=tuple(operations), marks=tuple(marks))


def _bad(path: Path, why: str) -> Exception:
    return refuse("bad_history", f"the history {path} is refused: {why}", path=str(path))
