"""Where reports are kept: one directory a drill, with its report (JSON and page) and its history.

A report is there whole or not at all; a directory without one is a drill that was interrupted, whose history may still
be there. Nothing is ever overwritten. The ids and codes in it are no tenant's data: a drill writes its own objects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from intelgraph.drill.report import Report, as_html, as_json, from_json
from intelgraph.model.errors import PermanentError, refuse, what_failed
from intelgraph.runtime.whole_file import write_whole

REPORT, PAGE, HISTORY = "report.json", "report.html", "history.jsonl"
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9][a-z0-9-]{0,60}")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One drill that is kept. ``report`` is missing when it was interrupted, or where ``unreadable`` says why."""

    id: str
    directory: Path
    report: Report | None
    unreadable: str | None = None


def make_id(began: str, name: str) -> str:
    """An id that sorts by time: ``20260131-080000-pause``. ``began`` is the history's, RFC 3339."""
    digits = re.sub(r"[^0-9]", "", began[:19])
    made = f"{digits[:8]}-{digits[8:14]}-{name}"
    if not _ID.fullmatch(made):
        raise ValueError(f"a drill may not be named {name!r} at {began!r}")
    return made


def reserve(root: Path, id: str) -> Path:
    """Make the directory of a drill that begins; refuses with ``drill_exists`` an id that is taken."""
    directory = root / id
    try:
        directory.mkdir(parents=True)
    except FileExistsError:
        raise refuse("drill_exists", f"the drill {id} is refused: one of that id is kept already", id=id) from None
    return directory


def keep(root: Path, report: Report) -> Path:
    """Write a report's page and then, whole, the report itself; returns its directory."""
    directory = root / report.id
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / REPORT).exists():
        raise refuse("drill_exists", f"the report of {report.id} is refused: it is kept already", id=report.id)
    (directory / PAGE).write_text(as_html(report), encoding="utf-8")
    write_whole(directory / REPORT, as_json(report), mode=0o644)
    return directory


def listed(root: Path) -> list[Kept]:
    """Every drill that is kept, the newest first."""
    found = sorted((path for path in root.glob("*") if path.is_dir() and _ID.fullmatch(path.name)), reverse=True)
    return [_listed(path) for path in found]


def _listed(directory: Path) -> Kept:
    """One drill of a list: a report that cannot be read must not hide the others."""
    try:
        return Kept(id=directory.name, directory=directory, report=_report(directory))
    except PermanentError as error:
        return Kept(id=directory.name, directory=directory, report=None, unreadable=error.denied.reason)


def load(root: Path, id: str) -> Kept:
    """One drill; ``unknown_drill`` if it is not kept."""
    path = root / id
    if not _ID.fullmatch(id) or not path.is_dir():
        raise refuse("unknown_drill", f"the drill {id[:80]} is refused: `intelgraph drill list` has none of that id")
    return Kept(id=id, directory=path, report=_report(path))


def load_report(root: Path, id: str) -> Report:
    """The report of one drill; ``unknown_drill`` if it is not kept, ``drill_interrupted`` if it has none."""
    found = load(root, id)
    if found.report is None:
        raise refuse(
            "drill_interrupted",
            f"there is no report of drill {id}: it was interrupted; what there is of it is in {found.directory}",
            id=id,
            directory=str(found.directory),
        )
    return found.report


def _report(directory: Path) -> Report | None:
    try:
        return from_json((directory / REPORT).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise refuse("bad_report", f"the report in {directory} cannot be read: {what_failed(error)}") from error
