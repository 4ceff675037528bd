"""STIX 2.1 bundles of any size as graph objects, in bounded memory.

``read_bundle`` yields, in file order, a graph object (``Read``) or the reason why an element is not one (``Rejected``).
One element is held at a time; an element over ``Limits`` is skipped without being built. What makes the *file*
unreadable (not JSON, not a bundle, STIX 2.0) raises a typed error, possibly after elements were yielded: whoever acts
on them reads to the end first.

Duplicates and dangling references are not its business: they need an index of the whole file (``imports.plan``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import ijson

from intelgraph.graph.objects import GraphObject, Json, normal_number
from intelgraph.graph.stix.bundle_source import BundleSource
from intelgraph.graph.stix.file_kinds import (
    ELEVATE,
    Foreign,
    foreign_json,
    foreign_list,
    foreign_value,
    json_fault,
    kind_of,
)
from intelgraph.graph.stix.mapping import NotMapped, from_stix
from intelgraph.graph.stix.rejects import REASONS, Rejected
from intelgraph.model.content import problem_of
from intelgraph.model.errors import PermanentError, refuse

Event = tuple[str, Json]
_STARTS: dict[str, type[dict[str, Json]] | type[list[Json]]] = {"start_map": dict, "start_array": list}
_ENDS = frozenset({"end_map", "end_array"})
_MEMBERS_MAX = 8
_READ = frozenset({"type", "spec_version", "objects"})
_SEEN_MAX = 1_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one element may be: ``object_bytes_max`` counts its text, ``depth_max`` its nested lists and objects.

    The API stores objects of up to 12 MiB (``ig.row_bytes_max``). Texts and places are counted as it writes them, with
    spaces, and numbers as a little less, so that whatever it stores is taken here. It takes properties of 32 levels,
    which an ``x-intelgraph-object`` carries two levels down."""

    object_bytes_max: int = 12 * 1024 * 1024
    depth_max: int = 34


@dataclass(frozen=True, kw_only=True)
class Read:
    """One element of ``objects``, by its place in the file, as a graph object."""

    position: int
    thing: GraphObject


class _Fault(Exception):
    """What is wrong with the element being built."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def read_bundle(source: BundleSource, limits: Limits) -> Iterator[Read | Rejected]:
    """Every element of the bundle's ``objects``; refuses the file with ``not_json`` or ``not_a_bundle``."""
    try:
        yield from _bundle(source, ijson.basic_parse(source, use_float=False), limits)
    except (ijson.JSONError, ValueError, ArithmeticError, SystemError) as error:
        raise refuse(
            "not_json",
            f"the file is refused: it is not JSON at or before byte {source.text_bytes}: {_complaint(error)}",
        ) from error


def _bundle(source: BundleSource, events: Iterator[Event], limits: Limits) -> Iterator[Read | Rejected]:
    event, value = next(events)
    if event == "start_array":
        raise _no_bundle(_first_of_list(source, events))
    if event != "start_map":
        raise _no_bundle(foreign_value(value))
    head: dict[str, Json] = {}
    members: list[str] = []
    seen: set[str] = set()
    position = 0
    for name in _names(events):
        _check_new(name, seen)
        members.append(name)
        event, value = next(events)
        if name == "objects" and event == "start_array":
            for event, _ in events:
                if event == "end_array":
                    break
                yield _element(source, events, event, limits, position)
                position += 1
        elif name == "objects":
            raise refuse("not_a_bundle", "the file is refused: its objects are no list, so there is nothing to take")
        else:
            if name in _READ:
                head[name] = value if event not in _STARTS else _STARTS[event]()
            _pass_member(source, events, name, (event, value))
        del members[_MEMBERS_MAX:]
    for _ in events:  # whatever follows the bundle is a syntax error, which the parser raises
        pass
    _check_head(head, members)


def _check_new(name: str, seen: set[str]) -> None:
    """Refuse a member of the bundle that was there already; of names that nobody reads, the first ones are known."""
    if name in seen:
        raise refuse(
            "duplicate_name",
            f"the file is refused: its member {name[:60]!r} occurs twice, so nobody can say which one counts",
            member=name[:60],
        )
    if name in _READ or len(seen) < _SEEN_MAX:
        seen.add(name)


def _pass_member(source: BundleSource, events: Iterator[Event], name: str, first: Event) -> None:
    """Go behind a member of the bundle itself; its numbers must be numbers that objects may have."""
    depth = 0
    event, value = first
    while True:
        source.idle_bytes = 0
        if event == "number":
            _check_number_of_head(name, value)
        depth += (event in _STARTS) - (event in _ENDS)
        if depth == 0:
            return
        event, value = next(events)


def _check_number_of_head(name: str, number: int | Decimal) -> None:
    try:
        _number(number)
    except _Fault as fault:
        reason = f"the file is refused: in its member {name[:60]!r} {REASONS[fault.code]}"
        raise refuse(fault.code, reason, member=name[:60]) from fault


def _first_of_list(source: BundleSource, events: Iterator[Event]) -> Foreign:
    """What a list is, from its first element."""
    event, _ = next(events)
    members: list[str] = []
    type_: Json = None
    if event == "start_map":
        for name in _names(events):
            members.append(name)
            event, value = next(events)
            if event in _STARTS:
                _skip(source, events)
            elif name == "type":
                type_ = value
            del members[_MEMBERS_MAX:]
    return foreign_list(members, type_, empty=event == "end_array")


def _check_head(head: dict[str, Json], members: list[str]) -> None:
    if head.get("type") != "bundle":
        raise _no_bundle(foreign_json(members, head.get("type"), has_type="type" in head))
    version = head.get("spec_version", "2.1")
    if not isinstance(version, str):
        reason = (
            f'the file is refused: the spec_version of its bundle is {kind_of(version)}, and it must be the text "2.1"'
        )
        raise refuse("wrong_spec_version", reason)
    if version != "2.1":
        raise refuse(
            "wrong_spec_version",
            f"the file is refused: it is a bundle of STIX {version[:20]!r}, and 2.1 is read; {ELEVATE}",
        )


def _no_bundle(found: Foreign) -> PermanentError:
    return refuse("not_a_bundle", f"the file is refused: {found.sentence}")


def _complaint(error: Exception) -> str:
    """What is wrong, in the parser's words; what others say of it is about Python."""
    text = error.args[0] if error.args and isinstance(error, ijson.JSONError) else ""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return json_fault(str(text)) or "a value in it cannot be read"


def _names(events: Iterator[Event]) -> Iterator[str]:
    """The names of the bundle's own members, until it ends."""
    for event, value in events:
        if event == "end_map":
            return
        yield value


def _element(
    source: BundleSource, events: Iterator[Event], event: str, limits: Limits, position: int
) -> Read | Rejected:
    if event != "start_map":
        if event == "start_array":
            _skip(source, events)
        return Rejected(position=position, id=None, code="not_an_object")
    builder = _Builder(source, limits)
    try:
        builder.build(events)
        return Read(position=position, thing=from_stix(builder.root))
    except _Fault as fault:
        _skip(source, events, builder.depth)
        code, detail = fault.code, fault.detail
    except NotMapped as fault:
        code, detail = fault.code, fault.detail
    stix_id = builder.root.get("id")
    shown = stix_id[:300] if isinstance(stix_id, str) else None
    return Rejected(position=position, id=shown, code=code, detail=detail)


def _skip(source: BundleSource, events: Iterator[Event], depth: int = 1) -> None:
    """Consume events until the ``depth`` open lists and objects are closed."""
    while depth:
        event = next(events)[0]
        source.idle_bytes = 0
        if event in ("start_map", "start_array"):
            depth += 1
        elif event in ("end_map", "end_array"):
            depth -= 1


class _Builder:
    """Builds one element from its events, and stops at the first thing that may not be (``_Fault``)."""

    def __init__(self, source: BundleSource, limits: Limits) -> None:
        self.root: dict[str, Json] = {}
        self.depth = 1
        self._source = source
        self._limits = limits
        self._bytes_left = limits.object_bytes_max

    def build(self, events: Iterator[Event]) -> None:
        """Fill ``root`` up to the end of the element; ``depth`` says how much is open if a fault stops it."""
        container: dict[str, Json] | list[Json] = self.root
        name = ""
        outer: list[dict[str, Json] | list[Json]] = []
        for event, value in events:
            if event == "map_key":
                self._take(value, len('"": , '))
                if value in container:
                    raise _Fault("duplicate_name", value[:60])
                name = value
                continue
            if event == "string":
                self._take(value, len('""'))
            elif event == "number":
                value = _number(value)
                self._bytes_left -= 1 + value.bit_length() // 4 if isinstance(value, int) else 3
            elif event in _ENDS:
                self.depth -= 1
                if self.depth == 0:
                    return
                if not container:
                    self._count(len("[]"))
                container = outer.pop()
                continue
            elif event in _STARTS:
                self._descend()
                value = _STARTS[event]()
            if isinstance(container, dict):
                container[name] = value
            else:
                container.append(value)
                self._count(len(", "))
            if event in _STARTS:
                outer.append(container)
                container = value

    def _descend(self) -> None:
        self.depth += 1
        if self.depth > self._limits.depth_max:
            raise _Fault("too_deeply_nested", f"the limit is {self._limits.depth_max} levels")

    def _take(self, text: str, around: int) -> None:
        """Count a text and what is written around it; a fault when it is one too many, or when it cannot be stored."""
        plain = text.isascii()
        self._count(around + (len(text) if plain else len(text.encode(errors="surrogatepass"))))
        if "\x00" in text or not (plain or _is_storable(text)):
            raise _Fault("unstorable_text")

    def _count(self, size: int) -> None:
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise _Fault("object_too_large", f"the limit is {self._limits.object_bytes_max} bytes")
        self._source.idle_bytes = 0


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(number: int | Decimal) -> int | float:
    """The number as the API stores it: exact if it is written without a point or an exponent, otherwise the nearest
    double; a fault where that is out of the API's range.

    A whole double beyond 2^53 becomes a whole number, so that no later reader is left to choose its digits.
    """
    if isinstance(number, int) and -(2**63) <= number < 2**63:
        return number
    value = number if isinstance(number, int) else float(number)
    if problem_of(value) is not None or (value == 0 and number != 0):
        raise _Fault("number_out_of_range")
    return normal_number(value) if abs(value) >= 2**53 else value
