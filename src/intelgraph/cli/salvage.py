"""``intelgraph salvage``: rows that a lost home had acknowledged and not sent, and what becomes of them."""

from __future__ import annotations

import getpass
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
import click

from intelgraph.changelog.salvage_policy import SalvageClass
from intelgraph.cli.owner import owner_connection
from intelgraph.cli.site import Site, fleet_options, json_option, run, show, the_site
from intelgraph.connection import DRIVER_ERRORS
from intelgraph.control.agent.controller.salvaging import (
    Beyond,
    ByHand,
    RowName,
    audit_file,
    beyond,
    decide_by_hand,
    name_text,
    parse_name,
)
from intelgraph.control.directory.placements import unknown_placement
from intelgraph.model.errors import IntelGraphError, refuse


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
    listed = run(_list(the_site(state, topology), placement))
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
    told = run(_show(the_site(state, topology), placement, parse_name(row)))
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
    _decide(_decision(placement, rows, reason, adopt=True), **rest)


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
    _decide(_decision(placement, rows, reason, adopt=False), **rest)


def _decision(placement: str, rows: tuple[str, ...], reason: str, *, adopt: bool) -> ByHand:
    names = tuple(parse_name(row) for row in rows)
    return ByHand(placement=placement, rows=names, adopt=adopt, reason=reason, who=getpass.getuser())


def _decide(decision: ByHand, *, state: Path | None, topology: Path | None, as_json: bool) -> None:
    run(_decide_at_home(the_site(state, topology), decision))
    verb = "adopted" if decision.adopt else "rejected"
    names = [name_text(name) for name in decision.rows]
    text = f"{decision.placement}: {len(names)} row{'' if len(names) == 1 else 's'} {verb}"
    show({"placement": decision.placement, verb: names, "reason": decision.reason}, text, as_json=as_json)


_IS_THERE = "select exists (select from ig.change where placement = $1 and (origin, life, position) = ($2, $3, $4))"


@dataclass(frozen=True, kw_only=True)
class _Home:
    """The database of a placement's home, and that region's directory."""

    connection: asyncpg.Connection
    directory: Path

    async def ask(self, statement: str, *arguments: object) -> Any:
        """Ask for one value."""
        return await self.connection.fetchval(statement, *arguments)


@asynccontextmanager
async def _home(site: Site, placement: str) -> AsyncIterator[_Home]:
    async with site.directory() as directory:
        record = await directory.placement(placement)
    region = site.region(record.placement.home)
    async with owner_connection(region.admin_database) as connection:
        yield _Home(connection=connection, directory=Path(region.directory))


@dataclass(frozen=True, kw_only=True)
class _Unasked:
    """A placement whose home could not be asked what waits there."""

    placement: str
    region: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """The rows that wait, each with its placement, and what may wait where nobody could be asked."""

    rows: list[tuple[str, Beyond]]
    unasked: list[_Unasked]


async def _list(site: Site, placement: str | None) -> _Listed:
    async with site.directory() as directory:
        records = await directory.placements()
    homes: dict[str, list[str]] = {}
    for place in (record.placement for record in records if placement in (None, record.placement.id)):
        homes.setdefault(place.home, []).append(place.id)
    if placement is not None and not homes:
        raise unknown_placement(placement)
    rows: dict[str, list[Beyond]] = {}
    failed: dict[str, str] = {}
    for region in homes:
        try:
            async with owner_connection(site.region(region).admin_database) as connection:
                home = _Home(connection=connection, directory=Path(site.region(region).directory))
                for name in homes[region]:
                    rows[name] = await beyond(home, name)
        except IntelGraphError as error:
            failed[region] = error.denied.reason
        except DRIVER_ERRORS as error:
            failed[region] = f"its database failed ({type(error).__name__}); `intelgraph status` says more"
    unasked = [
        _Unasked(placement=name, region=region, reason=reason)
        for region, reason in failed.items()
        for name in homes[region]
        if name not in rows
    ]
    return _Listed(
        rows=[(name, row) for name in sorted(rows) for row in rows[name]],
        unasked=sorted(unasked, key=lambda each: each.placement),
    )


async def _show(site: Site, placement: str, name: RowName) -> dict[str, Any]:
    async with _home(site, placement) as home:
        waiting = {row.name: row for row in await beyond(home, placement)}
        row = waiting.get(name)
        if row is None:
            await _check_there(home, placement, (name,))
            raise refuse("not_inert", f"{name_text(name)} waits for no decision in {placement}", row=name_text(name))
        body = await home.ask("select body::text from ig.change where (origin, life, position) = ($1, $2, $3)", *name)
        objects = [
            {"then": each, "now": await _standing(home, row.tenant, each)} for each in json.loads(body)["objects"]
        ]
    return {**_value(placement, row), "objects": objects}


async def _standing(home: _Home, tenant: str, then: dict[str, Any]) -> Any:
    text = await home.ask("select ig.standing($1, $2, $3)::text", tenant, then["kind"], then["id"])
    return json.loads(text) if text else None


async def _decide_at_home(site: Site, decision: ByHand) -> None:
    async with _home(site, decision.placement) as home:
        await _check_there(home, decision.placement, decision.rows)
        await decide_by_hand(home, audit_file(home.directory), decision)


async def _check_there(home: _Home, placement: str, names: tuple[RowName, ...]) -> None:
    """Refuse rows that the home's log does not have: nobody can have decided about them."""
    for name in names:
        if not await home.ask(_IS_THERE, placement, *name):
            raise refuse(
                "unknown_row",
                f"there is no row {name_text(name)} in {placement}: `intelgraph salvage list` names those that wait",
                row=name_text(name),
                placement=placement,
            )


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


def _lines(listed: _Listed) -> list[str]:
    said = [_line(*each) for each in listed.rows]
    if not said:
        said = ["nothing waits for a decision" + (" where it could be asked" if listed.unasked else "")]
    return said + [f"{each.placement}  NOT ASKED at its home {each.region}: {each.reason}" for each in listed.unasked]


def _line(placement: str, row: Beyond) -> str:
    ids = ", ".join(str(each["id"]) for each in row.objects[:3]) + (" …" if len(row.objects) > 3 else "")
    what = f"{placement}  {name_text(row.name):<22} {row.kind.value:<10} {row.written_at}  {row.tenant}: {ids}"
    return f"{what}  ({_WAITS[row.kind]})"
