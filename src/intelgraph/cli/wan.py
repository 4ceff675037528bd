"""``intelgraph wan``: look at the links between regions, slow them, cut them, heal them."""

from __future__ import annotations

from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import fleet_operator, json_option, topology_option
from intelgraph.cli.number import Number
from intelgraph.cli.options import reason_option, run
from intelgraph.cli.output import say, say_json, style
from intelgraph.fleet.wan.listener import Report
from intelgraph.fleet.wan.settings import DELAY_MS_MAX, FOR_S_MAX, Ask, Cut, Direction
from intelgraph.operations.fleet.links import LOOK, Ends, change_links, read_links


@click.command()
@click.argument("regions", nargs=-1, metavar="[A B]")
@topology_option
@click.option("--delay-ms", type=Number(min=0.0, max=DELAY_MS_MAX), help="Delay each direction by this much.")
@click.option("--cut", type=click.Choice(["a-to-b", "b-to-a", "both"]), help="Let nothing through.")
@click.option("--reset", is_flag=True, help="With --cut: end and refuse connections instead of falling silent.")
@click.option("--heal", is_flag=True, help="End cuts and temporary settings.")
@click.option(
    "--for",
    "for_s",
    type=Duration(above_zero=True, most_s=FOR_S_MAX),
    help="Go back by itself after this long, such as 30s.",
)
@reason_option
@json_option
def command(regions: tuple[str, ...], topology: Path | None, reason: str, as_json: bool, **wanted: object) -> None:
    """Show every link, or the one between regions A and B, or change it while the fleet runs.

    The directions are those of A and B as typed. Without A and B, --heal heals every link.

    \b
    Examples:
      intelgraph wan
      intelgraph wan us-east eu-west --delay-ms 40
      intelgraph wan us-east eu-west --cut a-to-b --for 30s
      intelgraph wan us-east eu-west --heal
      intelgraph wan us-east witness --cut both     (with --control etcd)
    """
    request = _request(**wanted)  # type: ignore[arg-type]
    operator, ends = fleet_operator(topology, reason), _ends(regions)
    if request != LOOK and ends is None and request != Ask(heal=True):
        raise click.UsageError("say between which two regions: intelgraph wan A B …")
    reports = run(read_links(operator.fleet, ends) if request == LOOK else change_links(operator, request, ends))
    if as_json:
        say_json({"links": reports})
        return
    for report in reports:
        for line in _lines(report):
            say(line)


def _request(*, delay_ms: float | None, cut: str | None, reset: bool, heal: bool, for_s: float | None) -> Ask:
    if reset and cut is None:
        raise click.UsageError("--reset says how to cut: give --cut as well")
    if heal and cut is not None:
        raise click.UsageError("--cut and --heal contradict each other: give one of them")
    if for_s is not None and delay_ms is None and cut is None:
        raise click.UsageError("--for says how long: give --delay-ms or --cut as well")
    how = Cut.RESET if reset else Cut.SILENT
    return Ask(
        a_to_b_delay_ms=delay_ms,
        b_to_a_delay_ms=delay_ms,
        a_to_b_cut=how if cut in ("a-to-b", "both") else None,
        b_to_a_cut=how if cut in ("b-to-a", "both") else None,
        heal=heal,
        for_s=for_s,
    )


def _ends(regions: tuple[str, ...]) -> Ends | None:
    if not regions:
        return None
    if len(regions) != 2:
        raise click.UsageError("a link has two ends: give both regions")
    return regions[0], regions[1]


def _lines(report: Report) -> list[str]:
    ways = (
        (report.a, report.b, report.settings.a_to_b, report.a_to_b_bytes),
        (report.b, report.a, report.settings.b_to_a, report.b_to_a_bytes),
    )
    until = "" if report.reverts_in_s is None else f", for {report.reverts_in_s:.1f} s more"
    return [
        f"{source} → {target}  {_state(direction)}{until}  {passed / 1e6:.1f} MB passed"
        for source, target, direction, passed in ways
    ]


def _state(direction: Direction) -> str:
    delay = f"+{direction.delay_ms:g} ms"
    if direction.cut is Cut.NONE:
        return style(f"open, {delay}", "green")
    how = "cut" if direction.cut is Cut.SILENT else "cut, connections reset"
    return style(f"{how}, {delay}", "red")
