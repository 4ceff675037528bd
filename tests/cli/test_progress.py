"""What a command says while it waits: nothing with ``--json``, and nothing that a terminal would obey."""

from __future__ import annotations

import pytest

from intelgraph.cli.progress import Steps
from intelgraph.model.errors import retry

ERROR = retry("door_unreachable", "the API at http://x cannot be reached: \x1b]0;t\x07", retry_after_s=1.0)


@pytest.mark.parametrize("quiet", [False, True])
@pytest.mark.parametrize("is_terminal", [False, True])
def test_why_nothing_gets_on_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, quiet: bool, is_terminal: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR" if is_terminal else "NO_COLOR", "1")
    with Steps(quiet=quiet) as steps:
        steps.start("reading", None)
        steps.wait(ERROR, 57.4)
    told = capsys.readouterr()
    assert told.out == "" and "\x1b]0" not in told.err
    assert ("cannot be reached: \\u001b]0;t\\u0007; it is tried for 57 s more" in told.err) is not quiet
