"""``intelgraph salvage``: rows that a lost home had acknowledged and not sent, and what becomes of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from intelgraph.changelog.salvage_policy import SalvageClass
from intelgraph.cli.options import fleet_options, json_option, run, show, the_operator
from intelgraph.control.agent.controller.salvaging import Beyond, name_text, parse_name
from intelgraph.operations.salvage import Decision, Waiting, decide_waiting, list_waiting, show_waiting


@click.group()
def command() -> None:
    """List, show, adopt and reject what came back with a lost region.

    Rows that touch nothing written since are adopted by themselves, repeats of a key are rejected; conflicts and what
    touches erased ids wait here for a person.

    \b
    Examples:
      intelgraph salvage list
      intelgraph salvage show --placement both us-east/28754526/4711
      intelgraph salvage adopt --placement both us-east/28754526/4711 --reason "the later write was a test"
      intelgraph salvage reject --placement both us-east/28754526/4712 --reason "superseded by hand"
    """


@command.command("list")
@click.option("--placement", help="Of this placement only.")
@fleet_options
@json_option
def list_(placement: str | None, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """List the rows that wait for a decision.

    What could not be asked, because its home does not answer, is named; then the exit code is 1.

    \b
    Examples:
      intelgraph salvage list
      intelgraph salvage list --placement both --json
    """
    listed = run(list_waiting(the_operator(state, topology), placement))
    value = {"rows": [_value(*each) for each in listed.rows], "unasked": [asdict(each) for each in listed.unasked]}
    show(value, _lines(listed), as_json=as_json)
    if listed.unasked:
        raise click.exceptions.Exit(1)


@command.command("show")
@click.option("--placement", required=True, help="Whose row it is.")
@click.argument("row")
@fleet_options
@json_option
def show_(placement: str, row: str, state: Path | None, topology: Path | None, as_json: bool) -> None:
    """Show ROW (origin/life/position): each object as the row has it, and as it is now.

    \b
    Example:
      intelgraph salvage show --placement both us-east/28754526/4711
    """
    found = run(show_waiting(the_operator(state, topology), placement, parse_name(row)))
    told = {**_value(placement, found.row), "objects": found.objects}
    show(told, json.dumps(told, indent=2).split("\n"), as_json=as_json)


@command.command("adopt")
@click.option("--placement", required=True, help="Whose rows they are.")
@click.option("--reason", default="adopted by an operator", show_default=True, help="Why; it is kept in the log.")
@click.argument("rows", nargs=-1, required=True)
@fleet_options
@json_option
def adopt(placement: str, reason: str, rows: tuple[str, ...], **rest: Any) -> None:
    """Let ROWS count, at the rank they were written with: what was written later to the same objects stays above.

    \b
    Example:
      intelgraph salvage adopt --placement both us-east/28754526/4711 --reason "the later write was a test"
    """
    _decide(_decision(placement, rows, adopt=True), reason, **rest)


@command.command("reject")
@click.option("--placement", required=True, help="Whose rows they are.")
@click.option("--reason", required=True, help="Why; it is kept in the log.")
@click.argument("rows", nargs=-1, required=True)
@fleet_options
@json_option
def reject(placement: str, reason: str, rows: tuple[str, ...], **rest: Any) -> None:
    """Decide that ROWS do not count. They are kept, and can still be adopted later.

    \b
    Example:
      intelgraph salvage reject --placement both us-east/28754526/4712 --reason "superseded by hand"
    """
    _decide(_decision(placement, rows, adopt=False), reason, **rest)


def _decision(placement: str, rows: tuple[str, ...], *, adopt: bool) -> Decision:
    return Decision(placement=placement, rows=tuple(parse_name(row) for row in rows), adopt=adopt)


def _decide(decision: Decision, reason: str, *, state: Path | None, topology: Path | None, as_json: bool) -> None:
    run(decide_waiting(the_operator(state, topology, reason=reason), decision))
    verb = "adopted" if decision.adopt else "rejected"
    names = [name_text(name) for name in decision.rows]
    text = f"{decision.placement}: {len(names)} row{'' if len(names) == 1 else 's'} {verb}"
    show({"placement": decision.placement, verb: names, "reason": reason}, text, as_json=as_json)


def _value(placement: str, row: Beyond) -> dict[str, Any]:
    return {
        "placement": placement,
        "row": name_text(row.name),
        "epoch": row.epoch,
        "tenant": row.tenant,
        "class": row.kind.value,
        "written_at": row.written_at,
        "objects": row.objects,
        "key_hash": row.key,
    }


_WAITS = {
    SalvageClass.ADOPTABLE: "will be adopted by itself",
    SalvageClass.DUPLICATE: "will be rejected by itself: its key counts already",
    SalvageClass.CONFLICT: "touches what was written since: adopt or reject it",
    SalvageClass.ILLEGAL: "touches erased ids: it can only be rejected",
}


def _lines(listed: Waiting) -> list[str]:
    said = [_line(*each) for each in listed.rows]
    if not said:
        said = ["nothing waits for a decision" + (" where it could be asked" if listed.unasked else "")]
    return said + [f"{each.placement}  NOT ASKED at its home {each.region}: {each.reason}" for each in listed.unasked]


def _line(placement: str, row: Beyond) -> str:
    ids = ", ".join(str(each["id"]) for each in row.objects[:3]) + (" …" if len(row.objects) > 3 else "")
    what = f"{placement}  {name_text(row.name):<22} {row.kind.value:<10} {row.written_at}  {row.tenant}: {ids}"
    return f"{what}  ({_WAITS[row.kind]})"
