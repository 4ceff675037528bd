"""Wrong usage is told as such, with exit code 2, before a fleet is looked for; times are typed the same everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from intelgraph.cli.duration import Duration
from intelgraph.cli.options import json_option
from intelgraph.cli.verbs import VERBS, run
from intelgraph.model.duration import duration_text
from intelgraph.model.errors import IntelGraphError
from intelgraph.operations.site import find_site
from tests import command

DOOR = ["--tenant", "t", "--region", "r", "--url", "http://127.0.0.1:9", "--token", "x"]


def ig(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command.run_text(arguments, directory=place, timeout_s=60)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["failback"], "it needs --placement or --all, and one of them only"),
        (["failback", "--all", "--placement", "p"], "it needs --placement or --all"),
        (["switchover", "--to", "r"], "it needs --placement or --all"),
        (["failover", "--to", "r", "--all", "--placement", "p"], "it needs --placement or --all"),
        (["failback", "--all", "--timeout", "soon"], "'soon' is not a duration such as 30s"),
        (["export", "--digest-only", *DOOR], "--region and --url both say where to go"),
        (["import", "x", *DOOR], "--region and --url both say where to go"),
        (["token", "--tenant", "t", "--ttl", "5x"], "'5x' is not a duration"),
        (["token", "--tenant", "t", "--ttl", "0"], "'0' is 0 s; it may be 1 s to 30 d"),
        (["drill", "run", "region-loss", "--region", "r", "--fault", "crash", "--for", "0"], "it may be 1 s to 1 h"),
        (["fault", "stop", "r", "--for", "0"], "'0' is 0 s; it may be more than 0 s"),
        (["wan", "a", "b", "--cut", "both", "--for", "0"], "'0' is 0 s; it may be more than 0 s, 1 d at most"),
        (["wan", "a", "b", "--cut", "both", "--for", "2d"], "'2d' is 2 d; it may be more than 0 s, 1 d at most"),
        (["wan", "a", "b", "--delay-ms", "nan"], "'nan' is not a finite number"),
        (["wan", "a", "b", "--delay-ms", "inf"], "inf is not in the range 0.0<=x<=10000.0"),
        (["wan", "a", "b", "--cut", "a-to-b", "--heal"], "--cut and --heal contradict each other"),
        (["placement", "declare", "p", "--rpo", "nan"], "'nan' is not a finite number"),
        (["placement", "create", "p", "--regions", "r", "--rpo", "inf"], "'inf' is not a finite number"),
        (
            ["drill", "run", "region-loss", "--region", "r", "--fault", "crash", "--rate", "nan"],
            "is not a finite number",
        ),
        (["token", "--tenant", "t", "--ttl", "40d"], "'40d' is 40 d; it may be 1 s to 30 d"),
        (["statsu"], "Did you mean one of: 'restart', 'status'?"),
        (["placement", "lsit"], "Did you mean 'list'?"),
        (["logs", "-n", "-5"], "-5 is not in the range x>=0"),
        (["simulate", "--smallest"], "--smallest goes with --replay"),
        (["fault", "stop", "r", "--for", "later"], "'later' is not a duration"),
        (["up", "--timeout", "-1"], "'-1' is not a duration"),
        (["down", "--timeout", "a minute"], "'a minute' is not a duration"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_would_be_right(tmp_path: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "intelgraph.toml").write_text("what follows starts nothing, whatever it takes this for")
    ran = ig(tmp_path, *arguments)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert told in ran.stderr


def test_a_state_directory_whose_name_is_too_long_is_refused() -> None:
    with pytest.raises(IntelGraphError, match=r"is refused: File name too long$"):
        find_site(Path("n" * 300))


def test_settings_that_cannot_be_read_are_refused_with_the_reason_alone(tmp_path: Path) -> None:
    place = tmp_path / "regions" / "r" / "region.json"
    place.mkdir(parents=True)  # a directory where a file should be
    with pytest.raises(IntelGraphError) as caught:
        find_site(tmp_path)
    assert caught.value.denied.reason == f"the region's settings {place} are refused: Is a directory"


@click.command()
@json_option
def failing(as_json: bool) -> None:
    """A verb that has forgotten that a file may fail."""
    Path("n" * 300).read_bytes()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_that_fails_a_command_is_told_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    monkeypatch.setitem(VERBS, "failing", f"{__name__}:failing")
    monkeypatch.setattr(sys, "argv", ["intelgraph", "failing", *["--json"] * as_json])
    assert run() == 1
    told, sentence = capsys.readouterr(), f"the command stops: {'n' * 300}: File name too long"
    assert told.err == f"intelgraph: {sentence}\n"
    error = {"code": "file_failed", "reason": sentence, "facts": {"file": "n" * 300}}
    assert not as_json or json.loads(told.out) == {"error": error}


@pytest.mark.parametrize(
    ("typed", "seconds"),
    [
        ("60s", 60.0),
        ("60", 60.0),
        (60, 60.0),
        (".5", 0.5),
        ("1.5h", 5_400.0),
        ("500ms", 0.5),
        ("7d", 604_800.0),
        ("0", 0),
    ],
)
def test_a_time_is_typed_with_its_unit_or_as_seconds(typed: object, seconds: float) -> None:
    assert Duration().convert(typed, None, None) == seconds


@pytest.mark.parametrize("typed", ["", "s", "-1", "1 s", "1e3", "inf", "nan", "5x", "٣s", "9" * 400, "1.2.3"])
def test_what_is_no_time_is_refused(typed: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is not a duration|it may be"):
        Duration().convert(typed, None, None)


def test_a_fault_takes_a_time_with_its_unit(tmp_path: Path) -> None:
    topology = tmp_path / "intelgraph.toml"
    topology.write_text('state = "none"\nzones = ["us"]\n[[region]]\nname = "r"\nzone = "us"\n', encoding="utf-8")
    tmp_path.chmod(0o711)
    ran = ig(Path("/"), "fault", "stop", "r", "--for", "60s", "--topology", str(topology))
    assert ran.returncode == 1
    assert "range" not in ran.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (90, "90 s"),
        (120, "2 min"),
        (3_600, "1 h"),
        (5_400, "1.5 h"),
        (3_456_000, "40 d"),
        (3_601, "3,601 s"),
        (1e9, "1,000,000,000 s"),
        (float("inf"), "inf s"),
    ],
)
def test_a_time_is_told_as_people_say_it(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
