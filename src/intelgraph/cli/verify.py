"""``intelgraph verify``: do all regions of a placement hold the same rows, up to a stable cut?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.options import fleet_options, json_option, run, show, the_operator
from intelgraph.operations.verification import Verified, verify


@click.command()
@click.option("--placement", help="Only this placement [default: all].")
@click.option(
    "--wait",
    "wait_s",
    type=Duration(),
    default="0s",
    show_default=True,
    help="For equality, and a few seconds more until all that was written before is compared.",
)
@fleet_options
@json_option
def command(state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Compare the log digests of every placement between its regions. Exit code 1 when any differ.

    Compared is what both regions know to be settled; what lies beyond is listed, with what it waits for.

    \b
    Examples:
      intelgraph verify
      intelgraph verify --placement both --wait 10 --json
    """
    found = run(verify(the_operator(state, topology), placement=rest["placement"], wait_s=rest["wait_s"]))
    shown = [_text(each) for each in found] or ["nothing to compare: no placement is in two regions"]
    show({"compared": [_value(each) for each in found]}, shown, as_json=bool(rest["as_json"]))
    if not all(each.good for each in found):
        raise click.exceptions.Exit(1)


def _value(found: Verified) -> dict[str, Any]:
    compared = found.compared
    return {
        "placement": compared.placement,
        "regions": [found.one, compared.peer],
        "equal": compared.equal,
        "rows": found.rows,
        "cut": {f"{stream.origin}/{stream.life}": position for stream, position in compared.cut.items()},
        "not_compared": found.not_compared,
        "waits_for": list(found.waits_for),
        "gap": found.gap,
    }


def _text(found: Verified) -> str:
    compared = found.compared
    cut = ", ".join(f"{s.origin}/{s.life} up to {p}" for s, p in compared.cut.items()) or "nothing settled yet"
    verdict = "equal" if compared.equal else "DIFFERENT"
    gap = f"; {found.gap}" if found.gap else ""
    beyond = ", ".join(f"{stream} from {first} to {last}" for stream, (first, last) in found.not_compared.items())
    rest = f"; not compared, since not settled in both: {beyond}" if beyond else ""
    waits = "".join(f"; {each}" for each in found.waits_for)
    pair = f"{found.one} and {compared.peer}"
    return f"{compared.placement}: {pair} are {verdict}: {found.rows} rows, {cut}{gap}{rest}{waits}"
