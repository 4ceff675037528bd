"""Salvage: what becomes of rows beyond a cut, in the database of their placement's home; by policy, or by an operator.

Every decision is a row of the log with its reason. What an operator decides is written to the region's audit file as
well, before the log is asked: a decision that cannot be audited is not made. The file holds ids of rows and people's
reasons, never what the rows hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from intelgraph.changelog.salvage_policy import (
    ADOPTED,
    DUPLICATE,
    NOTHING_RESERVED,
    Inert,
    Reserved,
    SalvageClass,
    salvage_part,
)
from intelgraph.control.agent.controller.salvage_pass import SalvagePass
from intelgraph.control.agent.observer.own_session import Asking
from intelgraph.model.errors import Denied, Fact, PermanentError, refuse, what_failed
from intelgraph.model.names import REGION_PATTERN
from intelgraph.runtime.json_log import json_line
from intelgraph.runtime.record_line import append_line

PAGE_OBJECTS_MAX = 200
"""Rows of so many objects, or of as many bytes as ``ig.salvage`` says, are decided about at once, one row at least: in
one row of the log, which an adoption carries to every region with them, and under the placement's lock, which writes
wait for (0.1 s on 2 cores; a row of 1,000 objects takes 0.3 s, one of 12 MB 1.6 s)."""
LIST_OBJECTS_MAX = 1_000

RowName = tuple[str, int, int]
LIFE_DIGITS_MAX, POSITION_DIGITS_MAX = 9, 18
"""As many as bookmarks have, so that the numbers fit the database's."""
_LIFE, _POSITION = rf"[0-9]{{1,{LIFE_DIGITS_MAX}}}", rf"[0-9]{{1,{POSITION_DIGITS_MAX}}}"
_ROW = re.compile(rf"({REGION_PATTERN})/({_LIFE})/(?:{_POSITION}/)?({_POSITION})")
_SHOWN_MAX = 100
"""Origin, life, position."""


class Beyond(msgspec.Struct, frozen=True, kw_only=True):
    """One row beyond a cut, without a decision: whose, in which class, and which objects it touches."""

    origin: str
    life: int
    position: int
    epoch: int
    tenant: str
    key: str | None
    """The hash of the write's idempotency key; a step of a removal has none."""
    written_at: str
    objects: list[dict[str, Any]]
    kind: SalvageClass = msgspec.field(name="class")
    removes: list[str] = []
    """The entities it deletes."""
    needs: list[str] = []
    """The entities that its relationships end at."""

    @property
    def name(self) -> RowName:
        """Which row it is."""
        return self.origin, self.life, self.position


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the rows beyond a cut, oldest first."""

    rows: list[Beyond]
    next: str | None
    """After which row the next page begins; none when there are no more."""


class _Answer(msgspec.Struct, kw_only=True):
    status: str
    rows: int = 0
    code: str = "refused"
    reason: str = ""
    facts: dict[str, Fact] = {}


@dataclass(frozen=True, kw_only=True)
class Salvaged:
    """What became of one page: how many rows were decided about, and how many are left for people."""

    adopted: int = 0
    rejected: int = 0
    people: int = 0
    unlinked: int = 0
    """How many relationships were deleted that lived at ids which these rows have erased."""
    tried: bool = False
    """Whether any was to be decided about, even if it had changed its class by then: it is to be looked at again."""
    passed_over: bool = False
    """Whether any could be adopted and waits all the same."""
    reserved: Reserved = NOTHING_RESERVED
    """What those that wait keep the rows of the next pages from."""
    next: str | None = None
    """After which row to go on; none when there are no more."""


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """What an operator decides about rows of one placement, why, and who it is."""

    placement: str
    rows: tuple[RowName, ...]
    adopt: bool
    reason: str
    who: str


def name_text(name: RowName) -> str:
    """Write a row's name as commands take it."""
    return "/".join(str(part) for part in name)


def parse_name(text: str) -> RowName:
    """Read a row's name, ``origin/life/position``; a bookmark (with its epoch) does as well."""
    found = _ROW.fullmatch(text)
    if found is None:
        shown = repr(text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}...")
        numbers = f"life with {LIFE_DIGITS_MAX} digits at most and position with {POSITION_DIGITS_MAX}"
        raise refuse("bad_row", f"the row {shown} is refused: a row is named origin/life/position, {numbers}")
    origin, life, position = found.groups()
    return origin, int(life), int(position)


async def page_of(database: Asking, placement: str, *, after: str | None, objects_max: int) -> Page:
    """Return those of the next rows that wait for a decision, behind the row ``after``, or from the first on."""
    text = await database.ask("select ig.salvage($1, $2, $3)::text", placement, after, objects_max)
    return msgspec.json.decode(text, type=Page)


async def beyond(database: Asking, placement: str) -> list[Beyond]:
    """List all rows of a placement that wait for a decision, oldest first."""
    page = await page_of(database, placement, after=None, objects_max=LIST_OBJECTS_MAX)
    found = page.rows
    while page.next is not None:
        page = await page_of(database, placement, after=page.next, objects_max=LIST_OBJECTS_MAX)
        found.extend(page.rows)
    return found


async def salvage_page(database: Asking, placement: str, stands: SalvagePass) -> Salvaged:
    """Decide by policy about what can be decided so of the next page; what changed its class meanwhile is left."""
    objects_max = max(1, PAGE_OBJECTS_MAX // 4**stands.shorter)
    page = await page_of(database, placement, after=stands.after, objects_max=objects_max)
    decided = salvage_part(
        (
            Inert(
                row=row.name,
                epoch=row.epoch,
                tenant=row.tenant,
                key=row.key,
                kind=row.kind,
                removes=frozenset(row.removes),
                needs=frozenset(row.needs),
            )
            for row in page.rows
        ),
        waits=stands.waits,
        reserved=stands.reserved,
    )
    illegal = [row.name for row in page.rows if row.kind is SalvageClass.ILLEGAL]
    unlinked = await _unlink_erased(database, placement, illegal)
    return Salvaged(
        unlinked=unlinked,
        adopted=await _decide_if(database, placement, decided.adopt, SalvageClass.ADOPTABLE, ADOPTED),
        rejected=await _decide_if(database, placement, decided.reject, SalvageClass.DUPLICATE, DUPLICATE),
        people=len(decided.people),
        tried=decided.decides or unlinked > 0,
        passed_over=decided.passed_over > 0,
        reserved=decided.reserved,
        next=page.next,
    )


async def _unlink_erased(database: Asking, placement: str, rows: Sequence[RowName]) -> int:
    if not rows:
        return 0
    return (await _ask(database, "select ig.unlink_erased($1, $2)::text", placement, _rows(rows))).rows


async def _decide_if(database: Asking, placement: str, rows: Sequence[RowName], kind: SalvageClass, reason: str) -> int:
    if not rows:
        return 0
    told = await _ask(
        database,
        "select ig.decide_if($1, $2, $3, $4, $5)::text",
        placement,
        _rows(rows),
        kind.value,
        reason,
        kind is SalvageClass.ADOPTABLE,
    )
    return told.rows


async def decide_by_hand(database: Asking, audit: Path, decision: ByHand) -> None:
    """Adopt or reject rows because somebody says so; raises the database's refusal."""
    verb = "adopt" if decision.adopt else "reject"
    if not decision.reason.strip():
        raise refuse("reason_required", "nothing is decided: the decision gives no reason")
    entry = {"do": f"salvage {verb}", **asdict(decision), "rows": [name_text(row) for row in decision.rows]}
    write_audit(audit, entry)
    statement = f"select ig.{verb}($1, $2, $3)::text"
    await _ask(database, statement, decision.placement, _rows(decision.rows), f"{decision.reason} ({decision.who})")


def audit_file(region_directory: Path) -> Path:
    """Where a region keeps what operators decided there."""
    return region_directory / "audit" / "operators.jsonl"


def write_audit(path: Path, entry: dict[str, object]) -> None:
    """Append one line, durably; raises ``audit_unwritable``, and then nothing may be done."""
    try:
        append_line(path, json_line(**entry))
    except OSError as error:
        raise refuse(
            "audit_unwritable", f"nothing is decided: the audit file {path} cannot be written: {what_failed(error)}"
        ) from error


def _rows(rows: Sequence[RowName]) -> str:
    return json.dumps([{"origin": origin, "life": life, "position": position} for origin, life, position in rows])


async def _ask(database: Asking, statement: str, *arguments: object) -> _Answer:
    told = msgspec.json.decode(await database.ask(statement, *arguments), type=_Answer)
    if told.status == "refused":
        raise PermanentError(Denied(code=told.code, reason=told.reason, facts=told.facts))
    return told
