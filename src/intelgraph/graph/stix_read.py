"""STIX 2.1 bundles of any size as graph objects, in bounded memory.

``read_bundle`` yields, in file order, a graph object (``Read``) or the reason why an element is not one (``Rejected``).
One element is held at a time; an element over ``Limits`` is skipped without being built. What makes the *file*
unreadable (not JSON, not a bundle, STIX 2.0) raises a typed error, possibly after elements were yielded: whoever acts
on them reads to the end first.

Duplicates and dangling references are not its business: they need an index of the whole file (``import_plan``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import ijson

from intelgraph.graph.bundle_source import BundleSource
from intelgraph.graph.objects import INTEGER_MAX, INTEGER_MIN, GraphObject, Json
from intelgraph.graph.rejects import Rejected
from intelgraph.graph.stix_mapping import NotMapped, from_stix
from intelgraph.model.errors import PermanentError, refuse

Event = tuple[str, Json]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one element may be: ``object_bytes_max`` counts its text, ``depth_max`` its nested lists and objects.

    The door takes properties of 32 levels, which an ``x-intelgraph-object`` carries two levels down."""

    object_bytes_max: int = 768 * 1024
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
    events = _events(source)
    if next(events)[0] != "start_map":
        raise refuse("not_a_bundle", "the file is refused: a STIX bundle is one JSON object, and this is not")
    head: dict[str, Json] = {}
    position = 0
    for name in _names(events):
        event, value = next(events)
        if name == "objects" and event == "start_array":
            for element in _elements(events, limits, position):
                position += 1
                yield element
        elif event in ("start_map", "start_array"):
            _skip(events)
        else:
            head[name] = value
    for _ in events:  # whatever follows the bundle is a syntax error, which the parser raises
        pass
    _check_head(head)


def _check_head(head: dict[str, Json]) -> None:
    if head.get("type") != "bundle":
        raise refuse("not_a_bundle", f"the file is refused: its type is {str(head.get('type'))[:40]!r}, not 'bundle'")
    if head.get("spec_version", "2.1") != "2.1":
        raise refuse(
            "wrong_spec_version",
            f"the file is refused: it is a bundle of STIX {str(head['spec_version'])[:20]!r}; 2.1 is read",
        )


def _events(source: BundleSource) -> Iterator[Event]:
    try:
        for event in ijson.basic_parse(source, use_float=False):
            source.idle_bytes = 0
            yield event
    except PermanentError:
        raise
    except (ijson.JSONError, ValueError, ArithmeticError, SystemError) as error:
        raise refuse(
            "not_json",
            f"the file is refused: it is not JSON at or before byte {source.handed_on_bytes} ({_complaint(error)})",
        ) from error


def _complaint(error: Exception) -> str:
    """The parser's complaint without the excerpt of the file that follows its first line."""
    text = error.args[0] if error.args else ""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return str(text).strip().partition("\n")[0].strip()[:120] or type(error).__name__


def _names(events: Iterator[Event]) -> Iterator[str]:
    """The names of the bundle's own members, until it ends."""
    for event, value in events:
        if event == "end_map":
            return
        yield value


def _elements(events: Iterator[Event], limits: Limits, position: int) -> Iterator[Read | Rejected]:
    for event, value in events:
        if event == "end_array":
            return
        yield _element(events, event, limits, position)
        position += 1
        del value


def _element(events: Iterator[Event], event: str, limits: Limits, position: int) -> Read | Rejected:
    if event != "start_map":
        if event == "start_array":
            _skip(events)
        return Rejected(position=position, id=None, code="not_an_object")
    builder = _Builder(limits)
    try:
        builder.build(events)
        return Read(position=position, thing=from_stix(builder.root))
    except _Fault as fault:
        _skip(events, builder.depth)
        code, detail = fault.code, fault.detail
    except NotMapped as fault:
        code, detail = fault.code, fault.detail
    stix_id = builder.root.get("id")
    shown = stix_id[:300] if isinstance(stix_id, str) else None
    return Rejected(position=position, id=shown, code=code, detail=detail)


def _skip(events: Iterator[Event], depth: int = 1) -> None:
    """Consume events until the ``depth`` open lists and objects are closed."""
    while depth:
        event = next(events)[0]
        if event in ("start_map", "start_array"):
            depth += 1
        elif event in ("end_map", "end_array"):
            depth -= 1


class _Builder:
    """Builds one element from its events, and stops at the first thing that may not be (``_Fault``)."""

    def __init__(self, limits: Limits) -> None:
        self.root: dict[str, Json] = {}
        self.depth = 1
        self._limits = limits
        self._bytes_left = limits.object_bytes_max

    def build(self, events: Iterator[Event]) -> None:
        """Fill ``root`` up to the end of the element; ``depth`` says how much is open if a fault stops it."""
        container: dict[str, Json] | list[Json] = self.root
        name = ""
        outer: list[tuple[dict[str, Json] | list[Json], str]] = []
        for event, value in events:
            if event == "map_key":
                name = self._name(container, value)
                continue
            if event in ("end_map", "end_array"):
                self.depth -= 1
                if self.depth == 0:
                    return
                container, name = outer.pop()
                continue
            if event in ("start_map", "start_array"):
                self.depth += 1
                if self.depth > self._limits.depth_max:
                    raise _Fault("too_deeply_nested", f"the limit is {self._limits.depth_max} levels")
                value = {} if event == "start_map" else []
            elif event == "string":
                self._take_text(value)
            else:
                value = self._scalar(event, value)
            if isinstance(container, dict):
                container[name] = value
            else:
                container.append(value)
            if event in ("start_map", "start_array"):
                outer.append((container, name))
                container = value

    def _name(self, container: dict[str, Json] | list[Json], name: str) -> str:
        self._take_text(name)
        if name in container:
            raise _Fault("duplicate_name", name[:60])
        return name

    def _take_text(self, text: str) -> None:
        self._take(len(text) if text.isascii() else len(text.encode(errors="surrogatepass")))
        if "\x00" in text or not _is_storable(text):
            raise _Fault("unstorable_text")

    def _scalar(self, event: str, value: Json) -> Json:
        self._take(8)
        return _number(value) if event == "number" else value

    def _take(self, size: int) -> None:
        self._bytes_left -= size + 3
        if self._bytes_left < 0:
            raise _Fault("object_too_large", f"the limit is {self._limits.object_bytes_max} bytes")


def _is_storable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(number: int | Decimal) -> int | float:
    """The number as a 64-bit integer or the nearest double; a fault where that would be another number altogether."""
    if isinstance(number, int) and INTEGER_MIN <= number <= INTEGER_MAX:
        return number
    try:
        double = float(number)
    except OverflowError as error:
        raise _Fault("number_out_of_range") from error
    whole_changed = isinstance(number, int) and int(double) != number
    if double in (float("inf"), float("-inf")) or whole_changed or (double == 0 and number != 0):
        raise _Fault("number_out_of_range")
    return double
