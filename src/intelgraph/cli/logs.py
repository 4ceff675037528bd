"""``intelgraph logs``: the ends of the parts' logs, or their growth."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

from intelgraph.cli.fleet_place import json_option, topology_option
from intelgraph.cli.output import broken_pipe, flush, say, say_json, style, wait_or_reader_gone
from intelgraph.fleet.composition.parts import all_parts
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor.log_files import decoded, last_lines
from intelgraph.fleet.supervisor.supervision import log_path
from intelgraph.model.errors import refuse
from intelgraph.operations.fleet.location import find_fleet

_LOOK_S = 0.25
_CHECKS = frozenset({"/healthz", "/readyz", "/metrics"})


@click.command()
@click.argument("names", nargs=-1, metavar="[REGION] [PART]")
@topology_option
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are added; Ctrl-C ends it.")
@click.option(
    "-n",
    "--lines",
    "count",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="How many last lines of each log.",
)
@click.option("--checks", is_flag=True, help="Show the health checks that passed, too.")
@json_option
def command(names: tuple[str, ...], topology: Path | None, follow: bool, count: int, **how: bool) -> None:
    """Show the logs of the fleet, of a REGION, or of one PART.

    Health checks that passed are left out: there are several a second.

    \b
    Examples:
      intelgraph logs
      intelgraph logs us-east postgres -f
      intelgraph logs us-east/api -n 100
      intelgraph logs supervisor
    """
    chosen = _choose(find_fleet(topology), names)
    width = max(len(name) for name in chosen)
    wanted = (lambda line: True) if how["checks"] else is_no_check
    shown = Shown(width=width, as_json=how["as_json"], wanted=wanted)
    begun = {name: _size(path) for name, path in chosen.items()}
    for name, path in chosen.items():
        for line in last_lines(path, count, wanted=wanted):
            shown.line(name, line)
    while follow:
        flush()
        if wait_or_reader_gone(_LOOK_S):
            raise broken_pipe()
        for name, path in chosen.items():
            begun[name] = _show_growth(name, path, begun[name], shown)


def is_no_check(line: str) -> bool:
    """Whether a line of a log is anything but a health check that passed."""
    if not any(f'"{path}"' in line for path in _CHECKS):
        return True
    try:
        told = json.loads(line)
        return not (told["event"] == "request" and told["route"] in _CHECKS and told["status"] == 200)
    except (ValueError, TypeError, KeyError):
        return True


def _choose(fleet: Fleet, names: tuple[str, ...]) -> dict[str, Path]:
    logs = {part.name: part.log for part in all_parts(fleet)}
    logs["supervisor"] = log_path(fleet)
    wanted = "/".join(names)
    chosen = {
        name: path
        for name, path in logs.items()
        if not wanted or name == wanted or name.startswith(f"{wanted}/") or name.endswith(f"/{wanted}")
    }
    if not chosen:
        raise refuse("unknown_part", f"there is no log of {wanted!r}: known are {', '.join(logs)}")
    return chosen


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How lines are shown, and which."""

    width: int
    as_json: bool
    wanted: Callable[[str], bool] = field(default=is_no_check)

    def line(self, name: str, line: str) -> None:
        """Show one."""
        if self.as_json:
            say_json({"part": name, "line": line})
        else:
            say(f"{style(f'{name:<{self.width}}', 'cyan')} {line}")


def _show_growth(name: str, path: Path, begun: int, shown: Shown) -> int:
    """Show the whole lines after ``begun``; returns where the next look begins. A rotated log begins again."""
    size = _size(path)
    if size < begun:
        begun = 0
    if size == begun:
        return begun
    data = b""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(begun)
        data = file.read(size - begun)
    whole, end, _ = data.rpartition(b"\n")
    if not end:
        return begun
    for line in decoded(whole.split(b"\n")):
        if shown.wanted(line):
            shown.line(name, line)
    return begun + len(whole) + 1


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
