"""Where an import may write: never over what it reads, never two things in one file, never among the regions' files.

Everything is looked at before anything is opened, since opening is what would empty it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from intelgraph.graph.imports.journal import check_is_journal
from intelgraph.model.errors import refuse


def check_places(
    file: Path | None, stream: BinaryIO | None = None, *, rejects: Path | None, journal: Path | None
) -> None:
    """Refuse with ``bad_place`` a ``rejects`` or ``journal`` that is the input, a file or a stream, or the other."""
    for option, path in (("--rejects", rejects), ("--journal", journal)):
        if path is not None and _is_input(path, file, stream):
            raise refuse("bad_place", f"{option} {path} is refused: it is what is imported, and would be replaced")
    if rejects is not None and journal is not None and _same(rejects, journal):
        raise refuse("bad_place", f"--journal {journal} is refused: --rejects names the same file")
    if journal is not None:
        check_is_journal(journal)


def check_outside(state: Path | None, *paths: Path | None) -> None:
    """Refuse with ``bad_place`` what is in a fleet's state directory: that is its own processes' alone.

    Their databases are there, and the control store: to replace one of its files is to lose every tenant.
    """
    if state is None:
        return
    whole = Path(os.path.realpath(state))
    for path in paths:
        if path is not None and Path(os.path.realpath(path)).is_relative_to(whole):
            raise refuse(
                "bad_place", f"the file {path} is refused: {state} is the state of a fleet, which writes it alone"
            )


def is_there(path: Path) -> bool:
    """Whether something has this name, which may be one that nothing can have."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _is_input(path: Path, file: Path | None, stream: BinaryIO | None) -> bool:
    if file is not None:
        return _same(path, file)
    try:
        return stream is not None and os.path.samestat(path.stat(), os.fstat(stream.fileno())) and path.is_file()
    except (OSError, ValueError):  # a stream in memory has no descriptor
        return False


def _same(one: Path, other: Path) -> bool:
    """Whether both name one file, that exists or would be made: a pipe or a terminal is never replaced."""
    try:
        return one.samefile(other) and one.is_file()
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)
