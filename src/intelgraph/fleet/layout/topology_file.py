"""Reads ``intelgraph.toml``. Every mistake in the file is found and told in one go, each with what would be right."""

from __future__ import annotations

import contextlib
import difflib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from intelgraph.fleet.layout.postgres_settings import why_fixed
from intelgraph.fleet.layout.topology import (
    BASE_PORT,
    GLOBAL_EDGE_PORT,
    REGIONS_MAX,
    WITNESS,
    ControlKind,
    Region,
    Topology,
    default_topology,
    fixed_ports,
    full_mesh,
    port_conflicts,
    with_control,
)
from intelgraph.model.errors import IntelGraphError, refuse, what_failed
from intelgraph.model.names import check_name

FILE_NAME = "intelgraph.toml"
_PARTS = ("postgres", "api", "edge")
_PORT_MIN, _PORT_MAX = 1024, 65_535
_WORKERS_MAX = 32
_DELAY_MS_MAX = 10_000.0
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?", re.ASCII)
_ORIGIN_SHOWN = "https://app.example"
_SETTING_MAX = 2**63 - 1
_SETTING = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")


@dataclass(frozen=True, kw_only=True)
class TopologyFile:
    """A topology, the file it came from (``None``: the built-in one) and the state directory that the file names."""

    path: Path | None
    topology: Topology
    state: Path | None = None


@dataclass(kw_only=True)
class _Reading:
    """A pass over the file's values; ``mistakes`` collects one sentence each."""

    mistakes: list[str] = field(default_factory=list)

    def table(self, where: str, value: object, known: tuple[str, ...]) -> dict[str, Any]:
        """The table with its known keys only; anything else is a mistake."""
        if not isinstance(value, dict):
            self.mistakes.append(f"{where} must be a table, not {_shown(value)}")
            return {}
        table = cast(dict[str, Any], value)
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                self.mistakes.append(f"{where} has an unknown key {key!r}: {hint}")
        return {key: entry for key, entry in table.items() if key in known}

    def tables(self, where: str, value: object) -> list[object]:
        if isinstance(value, list):
            return cast(list[object], value)
        self.mistakes.append(f"{where} must be written as [[{where}]] tables, not as {_shown(value)}")
        return []

    def whole(self, where: str, value: object, lowest: int, highest: int) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        self.mistakes.append(f"{where} is {_shown(value)}: it must be a whole number from {lowest} to {highest}")
        return None

    def name(self, where: str, kind: str, value: object) -> str | None:
        if not isinstance(value, str):
            self.mistakes.append(f"{where} must be a {kind}'s name, not {_shown(value)}")
            return None
        try:
            return check_name(kind, value)
        except IntelGraphError as error:
            self.mistakes.append(f"{where}: {error.denied.reason}")
            return None

    def choice(self, where: str, kind: str, value: str, known: list[str]) -> bool:
        if value in known:
            return True
        near = difflib.get_close_matches(value, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known) or 'none'}"
        self.mistakes.append(f"{where} names the unknown {kind} {value!r}: {hint}")
        return False


def find_topology_file(start: Path) -> Path | None:
    """The nearest ``intelgraph.toml`` in ``start`` or a directory above it."""
    for directory in (start, *start.parents):
        if (directory / FILE_NAME).is_file():
            return directory / FILE_NAME
    return None


def load_topology(path: Path | None) -> TopologyFile:
    """Read the file, or take the built-in topology for ``None``; refuses with ``bad_topology`` and every mistake."""
    if path is None:
        return TopologyFile(path=None, topology=default_topology())
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors may write a byte order mark
    except OSError as error:
        raise refuse("no_topology", f"the topology {path} cannot be read: {what_failed(error)}") from error
    except UnicodeDecodeError as error:
        raise refuse("no_topology", f"the topology {path} cannot be read: it is not UTF-8 text") from error
    return parse_topology(text, path)


def parse_topology(text: str, path: Path) -> TopologyFile:
    """The topology in ``text``; ``path`` is for the messages and for relative places."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _refused(path, [f"it is not TOML: {error}"]) from error
    except RecursionError as error:
        raise _refused(path, ["its lists or tables are nested too deeply to be read"]) from error
    except ValueError as error:
        raise _refused(path, ["a number in it has too many digits to be read"]) from error
    reading = _Reading()
    known = ("state", "zones", "ports", "fake_clocks", "edge", "api", "postgres", "control", "region", "link")
    root = reading.table("the file", document, known)
    state = _state(reading, root.get("state"), path)
    base_port = _base_port(reading, root.get("ports", BASE_PORT))
    workers = _workers(reading, root.get("api", {}))
    zones = _zones(reading, root.get("zones"))
    regions = _regions(reading, root.get("region", []), zones, workers)
    names = [region.name for region in regions]
    delays = _delays(reading, root.get("link", []), [*names, WITNESS])
    kind, members = _control(reading, root.get("control", {}), names)
    topology = Topology(
        zones=tuple(zones),
        regions=regions,
        links=full_mesh(regions, delays),
        base_port=base_port,
        global_edge_port=_global_edge_port(reading, root.get("edge", {}), base_port),
        postgres_settings=_settings(reading, root.get("postgres", {})),
        allowed_origins=_allowed_origins(reading, root.get("api", {})),
        control_given=kind,
        members_given=members,
        fake_clocks=_fake_clocks(reading, root.get("fake_clocks", False)),
        witness_delays_ms={name: delays[pair] for name in names if (pair := frozenset((name, WITNESS))) in delays},
    )
    if not reading.mistakes:
        ports = fixed_ports(with_control(topology, kind) if kind else topology)
        reading.mistakes += port_conflicts(ports)
        reading.mistakes += [f"the port of {name} would be {port}" for name, port in ports.items() if port > _PORT_MAX]
    if reading.mistakes:
        raise _refused(path, reading.mistakes)
    return TopologyFile(path=path, topology=topology, state=state)


def _state(reading: _Reading, value: object, path: Path) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value or "\0" in value:
        reading.mistakes.append(f"state must be a directory, not {_shown(value)}")
        return None
    try:
        state = (path.absolute().parent / Path(value).expanduser()).resolve()
        with contextlib.suppress(FileNotFoundError, PermissionError):
            state.stat()
    except (RuntimeError, OSError) as error:  # an account that is not there, links in a circle, a name too long
        reading.mistakes.append(f"state is {_shown(value)}: that is no directory's path ({what_failed(error)})")
        return None
    return state


def _fake_clocks(reading: _Reading, value: object) -> bool:
    if not isinstance(value, bool):
        reading.mistakes.append(f"fake_clocks is {_shown(value)}: it must be true or false")
    return value is True


def _base_port(reading: _Reading, value: object) -> int | None:
    if value == "free":
        return None
    if isinstance(value, str):
        reading.mistakes.append(f'ports is {_shown(value)}: it must be the first port as a number, or "free"')
        return None
    return reading.whole("ports", value, _PORT_MIN, _PORT_MAX - 500)


def _global_edge_port(reading: _Reading, value: object, base_port: int | None) -> int | None:
    edge = reading.table("[edge]", value, ("port",))
    if "port" in edge:
        return reading.whole("edge.port", edge["port"], _PORT_MIN, _PORT_MAX)
    return None if base_port is None else GLOBAL_EDGE_PORT


def _workers(reading: _Reading, value: object) -> int:
    api = reading.table("[api]", value, ("workers", "allowed_origins"))
    return reading.whole("api.workers", api.get("workers", 1), 1, _WORKERS_MAX) or 1


def _allowed_origins(reading: _Reading, value: object) -> tuple[str, ...]:
    given = value.get("allowed_origins", []) if isinstance(value, dict) else []
    if not isinstance(given, list):
        reading.mistakes.append(f'api.allowed_origins must be a list such as ["{_ORIGIN_SHOWN}"], not {_shown(given)}')
        return ()
    origins: list[str] = []
    for entry in cast(list[object], given):
        if isinstance(entry, str) and (entry == "*" or _ORIGIN.fullmatch(entry)):
            origins.append(entry)
        else:
            reading.mistakes.append(
                f'api.allowed_origins: {_shown(entry)} is no origin as browsers send it: "{_ORIGIN_SHOWN}", in small '
                'letters, without a path; or "*" for every one'
            )
    return tuple(origins)


def _zones(reading: _Reading, value: object) -> list[str]:
    if not isinstance(value, list) or not value:
        reading.mistakes.append('zones must list at least one zone, such as zones = ["us", "eu"]')
        return []
    zones: list[str] = []
    for index, entry in enumerate(cast(list[object], value)):
        zone = reading.name(f"zones[{index}]", "zone", entry)
        if zone is not None and zone in zones:
            reading.mistakes.append(f"zone {zone} is listed twice")
        elif zone is not None:
            zones.append(zone)
    return zones


def _regions(reading: _Reading, value: object, zones: list[str], workers: int) -> tuple[Region, ...]:
    entries = reading.tables("region", value)
    if not entries:
        reading.mistakes.append("no region is given: write at least one [[region]] with a name and a zone")
    if len(entries) > REGIONS_MAX:
        reading.mistakes.append(f"{len(entries)} regions are given: at most {REGIONS_MAX} fit one machine")
    regions: list[Region] = []
    for index, entry in enumerate(entries):
        region = _region(reading, f"region {index + 1}", entry, zones, workers)
        if region is not None and any(region.name == other.name for other in regions):
            reading.mistakes.append(f"region {region.name} is given twice")
        elif region is not None and region.name == WITNESS:
            reading.mistakes.append(f"region {index + 1} is named {WITNESS}: that is the site that is no region")
        elif region is not None:
            regions.append(region)
    return tuple(regions)


def _region(reading: _Reading, where: str, entry: object, zones: list[str], workers: int) -> Region | None:
    table = reading.table(where, entry, ("name", "zone", "api_workers", "ports"))
    name = reading.name(f"{where}: name", "region", table["name"]) if "name" in table else None
    if "name" not in table:
        reading.mistakes.append(f"{where} has no name")
    where = name or where
    zone = table.get("zone")
    if not isinstance(zone, str):
        reading.mistakes.append(f"{where} names no zone: add zone = one of {', '.join(zones) or 'the zones'}")
        zone = None
    elif not reading.choice(where, "zone", zone, zones):
        zone = None
    own_workers = reading.whole(f"{where}: api_workers", table.get("api_workers", workers), 1, _WORKERS_MAX)
    ports: dict[str, int] = {}
    for part, port in reading.table(f"{where}: ports", table.get("ports", {}), _PARTS).items():
        number = reading.whole(f"{where}: ports.{part}", port, _PORT_MIN, _PORT_MAX)
        if number is not None:
            ports[part] = number
    if name is None or zone is None:
        # A mistake is recorded; the name is still worth keeping so that links to it are not reported as well.
        return Region(name=name, zone=zones[0] if zones else "none") if name else None
    return Region(name=name, zone=zone, api_workers=own_workers or 1, ports=ports)


def _control(reading: _Reading, value: object, regions: list[str]) -> tuple[ControlKind | None, tuple[str, ...]]:
    table = reading.table("[control]", value, ("kind", "members"))
    kinds = [kind.value for kind in ControlKind]
    given = table.get("kind")
    if given is not None and given not in kinds:
        reading.mistakes.append(f"control.kind is {_shown(given)}: it must be one of {', '.join(kinds)}")
        given = None
    if given == ControlKind.ETCD.value and len(regions) < 2:
        reading.mistakes.append("control.kind is etcd: that takes at least two regions")
    members = table.get("members", [])
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        reading.mistakes.append("control.members must list the regions that vote")
        members = []
    known = [reading.choice("control.members", "region", member, regions) for member in members]
    if members and all(known) and (len(set(members)) != len(members) or len(members) % 2):
        reading.mistakes.append("control.members must be an even number of different regions: the witness votes too")
    return (ControlKind(given) if given else None), tuple(members)


def _delays(reading: _Reading, value: object, sites: list[str]) -> dict[frozenset[str], float]:
    delays: dict[frozenset[str], float] = {}
    for index, entry in enumerate(reading.tables("link", value)):
        where = f"link {index + 1}"
        table = reading.table(where, entry, ("between", "delay_ms"))
        between = table.get("between")
        if not isinstance(between, list) or len(between) != 2 or not all(isinstance(end, str) for end in between):
            reading.mistakes.append(f'{where} must say between = ["one region", "another"]')
            continue
        known = [reading.choice(where, "site", end, sites) for end in between]
        if not all(known):
            continue
        pair = frozenset(between)
        if len(pair) == 1:
            reading.mistakes.append(f"{where} leads from {between[0]} to itself")
        if pair in delays:
            reading.mistakes.append(f"the link between {between[0]} and {between[1]} is given twice")
        delay = table.get("delay_ms", 0)
        if not isinstance(delay, int | float) or isinstance(delay, bool) or not 0 <= delay <= _DELAY_MS_MAX:
            reading.mistakes.append(f"{where}: delay_ms is {_shown(delay)}: it must be from 0 to {_DELAY_MS_MAX:.0f}")
            delay = 0
        delays[pair] = float(delay)
    return delays


def _settings(reading: _Reading, value: object) -> Mapping[str, str]:
    settings: dict[str, str] = {}
    given = reading.table("[postgres]", value, ("settings",)).get("settings", {})
    if not isinstance(given, dict):
        reading.mistakes.append(f"postgres.settings must be a table, not {_shown(given)}")
        return {}
    for written, entry in cast(dict[str, object], given).items():
        name = written.lower()
        value = _setting_value(entry)
        why = None if value is None else why_fixed(name, value)
        if not _SETTING.fullmatch(name):
            reading.mistakes.append(f"postgres.settings: {written[:60]!r} is not the name of a setting")
        elif name in settings:
            reading.mistakes.append(f"postgres.settings: {name} is given twice")
        elif value is None:
            reading.mistakes.append(
                f"postgres.settings: {name} must be text, a finite number or true/false on one line"
            )
        elif why is not None:
            reading.mistakes.append(f"postgres.settings: {name} is fixed by IntelGraph: {why}")
        else:
            settings[name] = value
    return settings


def _setting_value(entry: object) -> str | None:
    if isinstance(entry, bool):
        return "on" if entry else "off"
    if isinstance(entry, float) and not math.isfinite(entry):
        return None
    if not isinstance(entry, str | int | float) or (isinstance(entry, int) and abs(entry) > _SETTING_MAX):
        return None
    text = str(entry)
    return None if any(each in text for each in "\n\r\0") else text


def _refused(path: Path, mistakes: list[str]) -> IntelGraphError:
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return refuse("bad_topology", f"the topology {path} is refused, {count}: {'; '.join(mistakes)}", mistakes=mistakes)


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        return "something too large to show"
    return text if len(text) <= 60 else text[:57] + "..."
