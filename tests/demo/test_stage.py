"""The demo shows what it types and what comes of it, and ends at the first thing that does not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from intelgraph.demo.stage import ActFailed, Stage, check
from intelgraph.model.actor import Actor, Channel

ACTOR = Actor(subject="a person", channel=Channel.CLI, reason="the demo")


class Seen:
    """An audience that keeps what it is shown."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def title(self, text: str) -> None:
        self.lines.append(("title", text))

    def say(self, text: str) -> None:
        self.lines.append(("say", text))

    def typed(self, command: str) -> None:
        self.lines.append(("typed", command))

    def printed(self, line: str) -> None:
        self.lines.append(("printed", line))

    def failed(self, text: str) -> None:
        self.lines.append(("failed", text))


def test_a_command_is_shown_with_what_it_prints_and_a_quiet_one_is_not() -> None:
    seen = Seen()
    stage = Stage(audience=seen, topology=None, actor=ACTOR)
    stage.act("A beginning")
    told = stage.run("--version")
    stage.run("--version", quiet=True)
    assert seen.lines == [
        ("title", "1. A beginning"),
        ("typed", "intelgraph --version"),
        ("printed", told.strip()),
    ]


def test_a_command_that_fails_ends_the_demo(tmp_path: Path) -> None:
    stage = Stage(audience=Seen(), topology=tmp_path / "absent.toml", actor=ACTOR)
    with pytest.raises(ActFailed, match="`intelgraph status` ended with"):
        stage.run("status")
    with pytest.raises(ActFailed, match="this did not hold: water is dry"):
        check(False, "water is dry")
