"""Where an import lists what it did not take: a file that gets its content when the import is over, and not before.

What is listed is spooled to a file without a name. A file that turns out not to be a bundle leaves nothing: ``keep`` is
called when it was read to its end.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from intelgraph.model.errors import PermanentError, refuse
from intelgraph.model.output_file import check_writable, whole_file


class RejectsList:
    """The list of one import; ``sink`` takes its lines."""

    def __init__(self, sink: BinaryIO | None) -> None:
        self.sink = sink
        self.kept = False

    def keep(self) -> None:
        """What is listed is to be written, whatever becomes of the import."""
        self.kept = True


@contextlib.contextmanager
def rejects_list(path: Path | None, not_listed: Callable[[str], None]) -> Iterator[RejectsList]:
    """The list that goes to ``path``, or nowhere; refused before anything is read when it cannot be written.

    ``not_listed`` is told why the list of an import that fails cannot be written either.
    """
    if path is None:
        yield RejectsList(None)
        return
    try:
        check_writable(path)
    except OSError as error:
        raise _not_writable("the import is refused", path, error) from error
    with tempfile.TemporaryFile() as spooled:
        listed = RejectsList(cast(BinaryIO, spooled))
        try:
            yield listed
        except BaseException:
            if listed.kept:
                _write_besides(cast(BinaryIO, spooled), path, not_listed)
            raise
        if listed.kept:
            _write(cast(BinaryIO, spooled), path)


def _write(spooled: BinaryIO, path: Path) -> None:
    spooled.seek(0)
    try:
        with whole_file(path) as file:
            shutil.copyfileobj(spooled, file)
    except OSError as error:
        raise _not_writable("what was not taken is not listed", path, error) from error


def _write_besides(spooled: BinaryIO, path: Path, not_listed: Callable[[str], None]) -> None:
    """Write the list of an import that failed: why it failed is what matters, so a failing list is only said."""
    try:
        _write(spooled, path)
    except PermanentError as error:
        not_listed(error.denied.reason)


def _not_writable(what: str, path: Path, error: OSError) -> PermanentError:
    return refuse("file_not_writable", f"{what}: {path}: {error.strerror or error}")
