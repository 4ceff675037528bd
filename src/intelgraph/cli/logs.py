"""``intelgraph logs``: the ends of the parts' logs, or their growth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

from intelgraph.cli.fleet_place import json_option, topology_option
from intelgraph.cli.output import broken_pipe, flush, say, say_json, style, wait_or_reader_gone
from intelgraph.operations.fleet.location import find_fleet
from intelgraph.operations.fleet.logs import GrowingLog, find_logs, last_lines

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
    chosen = find_logs(find_fleet(topology), "/".join(names))
    width = max(len(name) for name in chosen)
    wanted = (lambda line: True) if how["checks"] else is_no_check
    shown = Shown(width=width, as_json=how["as_json"], wanted=wanted)
    growing = {name: GrowingLog(path) for name, path in chosen.items()}
    for name, path in chosen.items():
        for line in last_lines(path, count, wanted=wanted):
            shown.line(name, line)
    while follow:
        flush()
        if wait_or_reader_gone(_LOOK_S):
            raise broken_pipe()
        for name, log in growing.items():
            shown.lines(name, log.grown())


def is_no_check(line: str) -> bool:
    """Whether a line of a log is anything but a health check that passed."""
    if not any(f'"{path}"' in line for path in _CHECKS):
        return True
    try:
        told = json.loads(line)
        return not (told["event"] == "request" and told["route"] in _CHECKS and told["status"] == 200)
    except (ValueError, TypeError, KeyError, RecursionError):
        return True


def _entry(line: str) -> dict[str, object]:
    """What a line holds as ``entry``, where it is an object of JSON: most parts write those."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return {"entry": entry} if isinstance(entry, dict) else {}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How lines are shown, and which."""

    width: int
    as_json: bool
    wanted: Callable[[str], bool] = field(default=is_no_check)

    def line(self, name: str, line: str) -> None:
        """Show one."""
        if self.as_json:
            say_json({"part": name, "line": line} | _entry(line))
        else:
            say(f"{style(f'{name:<{self.width}}', 'cyan')} {line}")

    def lines(self, name: str, lines: list[str]) -> None:
        """Show those of them that are wanted."""
        for line in lines:
            if self.wanted(line):
                self.line(name, line)
