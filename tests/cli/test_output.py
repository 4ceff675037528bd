"""What a verb says stays text on its line; output that fails is one sentence and an exit code."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph import cli
from intelgraph.changelog.salvage_policy import SalvageClass
from intelgraph.cli import verbs
from intelgraph.cli.output import say_lines
from intelgraph.cli.salvage import _lines
from intelgraph.cli.verbs import VERBS
from intelgraph.control.agent.controller.salvaging import Beyond
from intelgraph.model.printable import json_text, printable
from intelgraph.operations.salvage import Unasked, Waiting
from tests import command

FULL = Path("/dev/full")
HOSTILE = "x\x1b]0;t\x07\nforged line\u202e\x9b31m\u2028"
COMMAND = [sys.executable, "-m", "intelgraph.cli.main"]


def ran(
    *arguments: str | bytes, place: Path, stdout: IO[bytes] | int | None = None, stderr: IO[bytes] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return command.run(arguments, directory=place, timeout_s=60, stdout=stdout, stderr=stderr)


@given(st.text())
def test_whatever_was_written_is_one_line_of_visible_characters(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x\x1b]0;t\x07\nforged line", r"x\u001b]0;t\u0007\nforged line"),
        ("\x9b31m", r"\u009b31m"),
        ("a\u202eb\u2066c\u200f", r"a\u202eb\u2066c\u200f"),
        ("a\u2028b\u0085c\x7f", r"a\u2028b\u0085c\u007f"),
        ("\U000e0041", r"\U000e0041"),
        ("\udcff", r"\udcff"),
        ("Übel 🕸 C:\\new", "Übel 🕸 C:\\new"),
    ],
)
def test_what_moves_a_terminal_is_written_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_is_exact_and_of_visible_characters_too(text: str) -> None:
    line = json_text({"a": [text], text: 1})
    assert line.isprintable()
    assert json.loads(line) == json.loads(json.dumps({"a": [text], text: 1}))


def test_a_file_name_that_is_no_text_is_json_too() -> None:
    assert json.loads(json_text({"path": "\udcff"})) == {"path": "\udcff"}


def test_every_verb_speaks_through_one_function() -> None:
    """No module of the command line but ``output`` writes anything by itself."""
    for path in Path(str(cli.__file__)).parent.glob("*.py"):
        if path.name == "output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "click.echo", "click.secho", "click.style", "sys.stdout.write"), path


def test_what_waits_for_a_decision_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    row = Beyond(
        origin="us-east",
        life=1,
        position=7,
        epoch=1,
        tenant=HOSTILE,
        key=HOSTILE,
        written_at=HOSTILE,
        objects=[{"kind": "entity", "id": HOSTILE}],
        kind=SalvageClass.CONFLICT,
    )
    listed = Waiting(rows=(("both", row),), unasked=(Unasked(placement=HOSTILE, region="r", reason=HOSTILE),))
    say_lines(_lines(listed))
    shown = capsys.readouterr().out
    assert shown.count("\n") == 2
    assert all(line.isprintable() for line in shown.splitlines())


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_that_cannot_be_written_is_a_sentence(tmp_path: Path, verb: str) -> None:
    with FULL.open("wb") as full:
        done = ran(*([verb] if verb else []), "--help", place=tmp_path, stdout=full)
    assert done.returncode == 1
    assert done.stderr.decode() == "intelgraph: the output is not complete: No space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 1),
        (["simulate", "--schedules", "1"], 1),
        (["simulate", "--schedules", "1", "--json"], 1),
        (["status", "--json"], 1),
        (["token", "--tenant", "acme", "--json"], 1),
        (["import", "absent.json", "--tenant", "a", "--url", "http://127.0.0.1:1", "--token", "x", "--json"], 1),
        (["status", "--nonsense"], 2),
        (["nonsense"], 2),
        ([], 2),
    ],
)
@pytest.mark.parametrize("both", [False, True])
def test_a_full_device_is_never_a_traceback(tmp_path: Path, arguments: list[str], code: int, both: bool) -> None:
    with FULL.open("wb") as full:
        done = ran(*arguments, place=tmp_path, stdout=full, stderr=full if both else None)
    assert done.returncode == code
    assert both or b"Traceback" not in done.stderr
    assert both or done.stderr


def test_a_reader_that_goes_ends_a_verb_without_a_word(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = ran("simulate", "--schedules", "1", place=tmp_path, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    "arguments",
    [
        [b"\xff"],
        [b"status", b"--topology", b"\xff"],
        [b"token", b"--tenant", b"\xff"],
        [b"token", b"--tenant", b"\xff", b"--state", b"\xff"],
        [b"import", b"\xff", b"--tenant", b"t", b"--url", b"http://127.0.0.1:1", b"--token", b"x"],
        [b"import", b"\xff", b"--tenant", b"t", b"--url", b"http://127.0.0.1:1", b"--token", b"x", b"--json"],
        [b"import", b"x", b"--tenant", b"\xff", b"--url", b"http://127.0.0.1:1", b"--token", b"x"],
        [b"import", b"x", b"--tenant", b"t", b"--url", b"\xff", b"--token", b"x"],
        [b"import", b"x", b"--tenant", b"t", b"--url", b"http://127.0.0.1:1", b"--token", b"\xff"],
        [b"export", b"\xff/x", b"--tenant", b"t", b"--url", b"http://127.0.0.1:1", b"--token", b"x"],
        [b"export", b"--digest-only", b"--bookmark", b"\xff", b"--tenant", b"t"],
        [b"logs", b"\xff"],
        [b"psql", b"\xff"],
        [b"restart", b"\xff"],
        [b"tenant", b"show", b"\xff"],
        [b"placement", b"show", b"\xff"],
        [b"region", b"drain", b"\xff"],
        [b"drill", b"show", b"\xff"],
        [b"salvage", b"show", b"--placement", b"p", b"\xff"],
        [b"fault", b"stop", b"\xff"],
        [b"wan", b"\xff", b"\xff"],
        [b"verify", b"--placement", b"\xff"],
    ],
)
def test_a_name_that_is_no_text_is_shown_and_not_stumbled_over(tmp_path: Path, arguments: list[bytes]) -> None:
    done = ran(*arguments, place=tmp_path)
    assert done.returncode in (1, 2)
    assert b"Traceback" not in done.stderr
    assert done.stderr.decode()


def test_a_terminal_of_another_encoding_is_served_as_well_as_it_can(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "drill", "run", "region-loss"],
        cwd=tmp_path,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


@pytest.mark.prove
def test_ctrl_c_is_one_sentence(tmp_path: Path) -> None:
    command = [*COMMAND, "simulate", "--schedules", "1000000"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"schedules: ")  # it is at work
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert err.decode().strip().splitlines()[-1] == "intelgraph: interrupted"


def test_what_did_not_answer_in_time_is_not_called_an_output_that_is_not_complete(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asks(**_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(verbs.cli, "main", asks)
    with pytest.raises(TimeoutError):
        verbs.run()
    assert "output" not in capsys.readouterr().err
