"""A line of the log is one JSON object, and is there as soon as it is written."""

from __future__ import annotations

import io
import json

from intelgraph.runtime.json_log import JsonLog


def test_a_line_names_its_part_its_event_and_its_facts() -> None:
    sink = io.StringIO()
    JsonLog("feed", sink=sink)("reading", region="eu-west", rows=3, reason="two\nlines")
    line = sink.getvalue()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    told = json.loads(line)
    assert told.pop("at") > 0
    assert told == {"part": "feed", "event": "reading", "region": "eu-west", "rows": 3, "reason": "two\nlines"}


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else_is() -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    JsonLog("agent", sink=Full())("found", code="disk_full")
