"""The log of a background process: one JSON object a line, written at once.

RESIDENCY: facts are names, codes and numbers; never a tenant's data. A process that answers requests gathers its
lines instead (``intelgraph.api.logs``). A line that cannot be written (a full disk) is lost, and nothing else is.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import TextIO


class JsonLog:
    """Writes lines of ``part`` to ``sink``; by default to what standard output is when the line is written."""

    def __init__(self, part: str, *, sink: TextIO | None = None) -> None:
        self._part = part
        self._sink = sink

    def __call__(self, event: str, **facts: object) -> None:
        """Write one line: the wall clock's Unix seconds, the part, the event and its facts."""
        sink = self._sink or sys.stdout
        with contextlib.suppress(OSError):
            sink.write(json_line(part=self._part, event=event, **facts))
            sink.flush()


def json_line(**facts: object) -> str:
    """Return one line that begins with the wall clock's Unix seconds."""
    return json.dumps({"at": time.time(), **facts}) + "\n"
