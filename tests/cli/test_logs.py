"""Logs show what happened, line by line; a region is ready when it says that it can serve."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from intelgraph.cli.logs import Shown, is_no_check
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.fleet.supervisor.log_files import last_lines
from intelgraph.fleet.supervisor.serving import why_not_ready
from intelgraph.operations.fleet.logs import GrowingLog

CHECK = json.dumps({"event": "request", "method": "GET", "route": "/readyz", "status": 200, "code": None})
FAILED = json.dumps({"event": "request", "method": "GET", "route": "/readyz", "status": 503, "code": None})
ASKED = json.dumps({"event": "request", "method": "GET", "route": "/v1/entities", "status": 200, "code": None})


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (CHECK, False),
        (FAILED, True),
        (ASKED, True),
        ('no JSON of "/healthz"', True),
        ("", True),
        ('"/healthz"' + "[" * 200_000, True),
    ],
)
def test_a_health_check_that_passed_is_left_out(line: str, shown: bool) -> None:
    assert is_no_check(line) is shown


def test_so_many_lines_are_shown_as_were_asked_for_whatever_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("first\nsecond\n" + f"{CHECK}\n" * 5_000 + f"{FAILED}\n" + f"{CHECK}\n" * 5_000)
    assert last_lines(path, 2, wanted=is_no_check) == ["second", FAILED]
    assert last_lines(path, 9, wanted=is_no_check) == ["first", "second", FAILED]
    assert last_lines(path, 1) == [CHECK]
    path.write_text("one\n\nthree\nhalf")
    assert last_lines(path, 3) == ["", "three", "half"]


def test_only_a_line_feed_begins_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_text("a\u2028forged\u0085forged\x0bforged\rforged\x1b[2J\nb\n", encoding="utf-8")
    assert len(last_lines(path, 9)) == 2
    growing = GrowingLog(path, begun=0)
    Shown(width=4, as_json=False).lines("part", growing.grown())
    assert growing.grown() == []
    shown = capsys.readouterr().out
    assert shown == "part a\\u2028forged\\u0085forged\\u000bforged\\rforged\\u001b[2J\npart b\n"


@pytest.mark.parametrize(
    ("line", "entry"),
    [(ASKED, json.loads(ASKED)), ("LOG:  ready", None), ("[1]", None), ("7", None), ("[" * 200_000, None)],
    ids=["object", "text", "list", "number", "deep"],
)
def test_an_entry_is_given_to_programs_as_an_object(
    capsys: pytest.CaptureFixture[str], line: str, entry: dict[str, object] | None
) -> None:
    Shown(width=4, as_json=True).line("part", line)
    told = json.loads(capsys.readouterr().out)
    assert told == {"part": "part", "line": line, **({} if entry is None else {"entry": entry})}


class Answering(BaseHTTPRequestHandler):
    """Answers what it is told to."""

    status, body = 200, b"{}"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"{}", None),
        (503, b'{"checks":{"database":"no","feed":null}}', "database: no"),
        (503, b"not JSON", "/readyz says 503"),
        (404, b'{"checks":[]}', "/readyz says 404"),
    ],
)
def test_an_api_is_ready_when_it_says_so(
    port: int, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, why: str | None
) -> None:
    monkeypatch.setattr(Answering, "status", status)
    monkeypatch.setattr(Answering, "body", body)
    assert why_not_ready(port) == why


def test_an_api_that_does_not_answer_is_not_ready() -> None:
    (port,) = free_ports(1)
    assert "does not answer" in str(why_not_ready(port))
