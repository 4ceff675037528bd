"""``intelgraph drill``: lose a region on purpose, with clients at work, and prove what came of it; list and show them.

Exit codes of ``run`` and ``show``: 0 every promise held, 1 something was found, 2 wrong usage.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import json_option, topology_option
from intelgraph.cli.number import Number
from intelgraph.cli.options import reason_option, run, the_actor
from intelgraph.cli.output import say, say_json, say_lines, style
from intelgraph.drill import faults, kept
from intelgraph.drill.course import FOR_S_MAX, FOR_S_MIN, LOST_FOR_S_MIN, Drill, DrillSettings, Told, drills_directory
from intelgraph.drill.dead_man import Whereabouts
from intelgraph.drill.report import Report, text_lines
from intelgraph.drill.workload import WorkloadSettings
from intelgraph.fleet.layout.topology_file import find_topology_file
from intelgraph.model.placement import Durability
from intelgraph.operations.fleet.location import find_fleet

SCENARIOS = ("region-loss",)


@click.group()
def command() -> None:
    """Lose a region on purpose, with clients at work, and prove what came of it.

    \b
    Examples:
      intelgraph drill run region-loss --region us-east --fault crash
      intelgraph drill list
      intelgraph drill show 20260131-080000-pause
    """


@command.command("run")
@click.argument("scenario", type=click.Choice(SCENARIOS))
@click.option("--region", required=True, help="Which region is lost; it is made the home of the drill's own tenant.")
@click.option("--fault", required=True, type=click.Choice(list(faults.FAULTS)), help="What happens to it.")
@click.option(
    "--durability",
    type=click.Choice([each.value for each in Durability]),
    default=Durability.REMOTE.value,
    show_default=True,
    help="How the writes of the drill are acknowledged.",
)
@click.option(
    "--for",
    "for_s",
    type=Duration(least_s=FOR_S_MIN, most_s=FOR_S_MAX),
    default="30s",
    show_default=True,
    help=f"How long it lasts; {LOST_FOR_S_MIN:g}s at least where the fault loses the region.",
)
@click.option("--rate", type=Number(min=1.0), default=60.0, show_default=True, help="Requests a second.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Chooses the requests.")
@reason_option
@topology_option
@json_option
def run_(scenario: str, topology: Path | None, as_json: bool, **given: Any) -> None:
    """Put clients to work, lose the region, let the system act alone, heal, and judge what the clients were told.

    The drill writes to a tenant of its own and to no other; but the fault is the whole region's. Ctrl-C heals it; so
    does a process of its own if the drill is killed. Exit code 1: something was found.

    \b
    Examples:
      intelgraph drill run region-loss --region us-east --fault crash
      intelgraph drill run region-loss --region us-east --fault partition --durability home --for 20s
      intelgraph drill run region-loss --region eu-west --fault pause --rate 100 --seed 7 --json
    """
    fleet = find_fleet(topology)
    where = Whereabouts(topology=topology or find_topology_file(Path.cwd()), start=Path.cwd())
    settings = DrillSettings(
        fault=given["fault"],
        region=given["region"],
        durability=Durability(given["durability"]),
        for_s=given["for_s"],
        seed=given["seed"],
        load=WorkloadSettings(seed=given["seed"], rate_per_s=given["rate"]),
    )
    told = _told(quiet=as_json)
    drill = Drill(where=where, fleet=fleet, actor=the_actor(given["reason"]), settings=settings, told=told)
    report = run(drill.run())
    _show(report, drills_directory(fleet) / report.id, as_json=as_json, page=False)


@command.command("list")
@topology_option
@json_option
def list_(topology: Path | None, as_json: bool) -> None:
    """List every drill that is kept, the newest first.

    \b
    Examples:
      intelgraph drill list
      intelgraph drill list --json | jq '.drills[] | select(.holds == false)'
    """
    drills = kept.listed(drills_directory(find_fleet(topology)))
    if as_json:
        say_json({"drills": [_value(each) for each in drills]})
        return
    for each in drills:
        say(_line(each))
    if not drills:
        say("no drill is kept: `intelgraph drill run` makes one")


@command.command("show")
@click.argument("id")
@click.option("--html", "page", is_flag=True, help="Print where its page is.")
@topology_option
@json_option
def show_(id: str, page: bool, topology: Path | None, as_json: bool) -> None:
    """Show the report of drill ID again; exit code 1 if something had been found.

    \b
    Examples:
      intelgraph drill show 20260131-080000-pause
      intelgraph drill show 20260131-080000-pause --html
    """
    root = drills_directory(find_fleet(topology))
    _show(kept.load_report(root, id), root / id, as_json=as_json, page=page)


def _show(report: Report, directory: Path, *, as_json: bool, page: bool) -> None:
    if as_json:
        say_json(report)
    elif page:
        say(directory / kept.PAGE)
    else:
        say_lines(text_lines(report))
        say(f"  page: {directory / kept.PAGE}")
    if not report.holds:
        raise click.exceptions.Exit(1)


def _told(*, quiet: bool) -> Told:
    """Each step on standard error as it begins, with the seconds since the first."""
    began_s = time.monotonic()

    def tell(text: str) -> None:
        if not quiet:
            say(f"{time.monotonic() - began_s:7.1f} s  {text}", err=True)

    def step(name: str, seconds: float | None) -> None:
        tell(name if seconds is None else f"{name} ({seconds:g} s)")

    return Told(step=step, say=tell)


def _value(each: kept.Kept) -> dict[str, Any]:
    report = each.report
    if report is None:
        unreadable = {} if each.unreadable is None else {"unreadable": each.unreadable}
        return {"id": each.id, "finished": False, "directory": str(each.directory), **unreadable}
    score = report.score
    return {
        "id": each.id,
        "finished": True,
        "holds": report.holds,
        "title": report.title,
        "about": report.about,
        "rto_s": score.rto_s,
        "rpo_s": score.rpo_s,
        "rpo_writes": score.rpo_writes,
        "anomalies": score.anomalies,
        "directory": str(each.directory),
    }


def _line(each: kept.Kept) -> str:
    report = each.report
    if report is None:
        return f"{each.id:<40} {'interrupted' if each.unreadable is None else f'unreadable  {each.unreadable}'}"
    verdict = style("holds", "green") if report.holds else style("BROKEN", "red")
    rto = "–" if report.score.rto_s is None else f"{report.score.rto_s:.2f} s"
    return f"{each.id:<40} {verdict}  RTO {rto}, {report.score.rpo_writes:,} writes taken back  {report.title}"
