"""Salvage: rows that a lost home had acknowledged and not sent, and what an operator decides about them.

What is decided is recorded twice: in the fleet's record, and, with the rows, at the home that holds them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from intelgraph.connection import DRIVER_ERRORS
from intelgraph.control.agent.controller.salvaging import (
    Beyond,
    ByHand,
    RowName,
    audit_file,
    beyond,
    decide_by_hand,
    name_text,
)
from intelgraph.control.directory.placements import unknown_placement
from intelgraph.model.errors import IntelGraphError, refuse, why_no_answer
from intelgraph.operations.database import owner_connection, told_failures
from intelgraph.operations.operator import Operator
from intelgraph.operations.record import record
from intelgraph.operations.site import Site

_REJECTED_AT_ONCE = 200
_IS_THERE = "select exists (select from ig.change where placement = $1 and (origin, life, position) = ($2, $3, $4))"
_BODY = "select body::text from ig.change where (origin, life, position) = ($1, $2, $3)"


@dataclass(frozen=True, kw_only=True)
class Unasked:
    """A placement whose home could not be asked what waits there."""

    placement: str
    region: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """The rows that wait, each with its placement, and what may wait where nobody could be asked."""

    rows: tuple[tuple[str, Beyond], ...]
    unasked: tuple[Unasked, ...]


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A row that waits; each of its objects as the row has it (``then``), and as it is (``now``; none if it is not)."""

    placement: str
    row: Beyond
    objects: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether rows of a placement are to count. The actor's reason is the decision's, and is kept in the log."""

    placement: str
    rows: tuple[RowName, ...]
    adopt: bool


async def list_waiting(operator: Operator, placement: str | None = None) -> Waiting:
    """List the rows that wait for a decision; a home that cannot be asked hides nothing that waits elsewhere."""
    async with operator.site.directory() as directory:
        records = await directory.placements()
    homes: dict[str, list[str]] = {}
    for place in (each.placement for each in records if placement in (None, each.placement.id)):
        homes.setdefault(place.home, []).append(place.id)
    if placement is not None and not homes:
        raise unknown_placement(placement)
    rows: dict[str, list[Beyond]] = {}
    failed: dict[str, str] = {}
    for region in homes:
        try:
            async with _database(operator.site, region) as home:
                for name in homes[region]:
                    rows[name] = await beyond(home, name)
        except IntelGraphError as error:
            failed[region] = error.denied.reason
        except DRIVER_ERRORS as error:
            failed[region] = f"its database failed ({why_no_answer(error)}); `intelgraph status` says more"
    unasked = [
        Unasked(placement=name, region=region, reason=reason)
        for region, reason in failed.items()
        for name in homes[region]
        if name not in rows
    ]
    return Waiting(
        rows=tuple((name, row) for name in sorted(rows) for row in rows[name]),
        unasked=tuple(sorted(unasked, key=lambda each: each.placement)),
    )


async def show_waiting(operator: Operator, placement: str, name: RowName) -> Compared:
    """Show a row that waits, beside what is there now. Recorded: a tenant's data is looked at."""
    record(operator, "salvage show", placement=placement, row=name_text(name))
    async with _home(operator.site, placement) as home:
        waiting = {row.name: row for row in await beyond(home, placement)}
        row = waiting.get(name)
        if row is None:
            await _check_there(home, placement, (name,))
            raise refuse("not_inert", f"{name_text(name)} waits for no decision in {placement}", row=name_text(name))
        body = await home.ask(_BODY, *name)
        objects = [
            {"then": each, "now": await _standing(home, row.tenant, each)} for each in json.loads(body)["objects"]
        ]
    return Compared(placement=placement, row=row, objects=tuple(objects))


async def decide_waiting(operator: Operator, decision: Decision) -> None:
    """Adopt or reject rows; ``unknown_row``, ``reason_required``, or the database's refusal."""
    actor = operator.actor
    async with _home(operator.site, decision.placement) as home:
        await _check_there(home, decision.placement, decision.rows)
        _record(operator, decision)
        by_hand = ByHand(
            placement=decision.placement,
            rows=decision.rows,
            adopt=decision.adopt,
            reason=actor.reason,
            who=actor.subject,
        )
        await decide_by_hand(home, audit_file(home.directory), by_hand)


async def reject_all(operator: Operator, placement: str) -> int:
    """Reject every row of a placement that waits; returns how many that were."""
    async with _home(operator.site, placement) as home:
        waiting = tuple(row.name for row in await beyond(home, placement))
    for start in range(0, len(waiting), _REJECTED_AT_ONCE):
        rows = waiting[start : start + _REJECTED_AT_ONCE]
        await decide_waiting(operator, Decision(placement=placement, rows=rows, adopt=False))
    return len(waiting)


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
        found = await directory.placement(placement)
    async with _database(site, found.placement.home) as home:
        with told_failures(found.placement.home):
            yield home


@asynccontextmanager
async def _database(site: Site, region: str) -> AsyncIterator[_Home]:
    config = site.region(region)
    async with owner_connection(config.admin_database) as connection:
        yield _Home(connection=connection, directory=Path(config.directory))


def _record(operator: Operator, decision: Decision) -> None:
    rows = [name_text(row) for row in decision.rows]
    record(operator, f"salvage {'adopt' if decision.adopt else 'reject'}", placement=decision.placement, rows=rows)


async def _standing(home: _Home, tenant: str, then: dict[str, Any]) -> Any:
    text = await home.ask("select ig.standing($1, $2, $3)::text", tenant, then["kind"], then["id"])
    return json.loads(text) if text else None


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
