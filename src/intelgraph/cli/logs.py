"""``intelgraph logs``: the ends of the parts' logs, or their growth."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import click

from intelgraph.cli.fleet_place import json_option, the_fleet, topology_option
from intelgraph.fleet.log_files import last_lines
from intelgraph.fleet.parts import all_parts
from intelgraph.fleet.places import Fleet
from intelgraph.fleet.supervision import log_path
from intelgraph.model.errors import refuse

_LOOK_S = 0.25


@click.command()
@click.argument("names", nargs=-1, metavar="[REGION] [PART]")
@topology_option
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are added; Ctrl-C ends it.")
@click.option("-n", "--lines", "count", default=20, show_default=True, help="How many last lines of each log.")
@json_option
def command(names: tuple[str, ...], topology: Path | None, follow: bool, count: int, as_json: bool) -> None:
    """Show the logs of the fleet, of a REGION, or of one PART.

    \b
    Examples:
      intelgraph logs
      intelgraph logs us-east postgres -f
      intelgraph logs us-east/api -n 100
      intelgraph logs supervisor
    """
    chosen = _choose(the_fleet(topology), names)
    width = max(len(name) for name in chosen)
    begun = {name: _size(path) for name, path in chosen.items()}
    for name, path in chosen.items():
        for line in last_lines(path, count):
            _show(name, line, width, as_json)
    while follow:
        time.sleep(_LOOK_S)
        for name, path in chosen.items():
            begun[name] = _show_growth(name, path, begun[name], width, as_json)


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


def _show(name: str, line: str, width: int, as_json: bool) -> None:
    text = (
        json.dumps({"part": name, "line": line}) if as_json else f"{click.style(f'{name:<{width}}', fg='cyan')} {line}"
    )
    click.echo(text)


def _show_growth(name: str, path: Path, begun: int, width: int, as_json: bool) -> int:
    """Show the whole lines after ``begun``; returns where the next look begins. A rotated log begins again."""
    size = _size(path)
    if size < begun:
        begun = 0
    if size == begun:
        return begun
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(begun)
        data = file.read(size - begun)
        whole = data.rpartition(b"\n")[0]
        if whole:
            for line in whole.decode("utf-8", errors="replace").splitlines():
                _show(name, line, width, as_json)
            return begun + len(whole) + 1
    return begun


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
