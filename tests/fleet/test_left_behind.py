"""What a loss of power leaves: a pid that another program has by now, a file that has lost its number."""

from __future__ import annotations

from pathlib import Path

import pytest

from intelgraph.fleet.postgres import provision
from intelgraph.fleet.postgres.server import Server, command, forget_another, noted_pid
from intelgraph.model.errors import PermanentError

_REST = "/data\n1767225600\n7400\n/socket\n127.0.0.1\n 123456 789\nready\n"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    found = Server(directory=tmp_path, port=7400)
    found.data.mkdir()
    (found.data / "postmaster.pid").write_text(f"4711\n{_REST}", encoding="ascii")
    return found


def test_a_pid_that_another_program_has_is_no_postmasters(server: Server) -> None:
    assert noted_pid(server) == 4711
    forget_another(server, ["/usr/bin/editor", "notes"])
    assert noted_pid(server) not in (4711, None)
    _, _, rest = (server.data / "postmaster.pid").read_text(encoding="ascii").partition("\n")
    assert rest == _REST, "the shared memory of sessions that were left is still found by it"


def test_a_postmaster_that_lives_and_one_that_is_gone_are_postgresqls_to_judge(server: Server) -> None:
    for seen in (command(server), None):
        forget_another(server, seen)
        assert noted_pid(server) == 4711


@pytest.mark.parametrize("text", ["", "\n", "no number\n"])
def test_a_pid_file_that_says_nothing_names_nobody(server: Server, text: str) -> None:
    (server.data / "postmaster.pid").write_text(text, encoding="ascii")
    assert noted_pid(server) is None
    (server.data / "postmaster.pid").unlink()
    assert noted_pid(server) is None


def test_a_life_that_cannot_be_read_is_written_anew_and_a_new_database_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "life-us-east"
    assert provision._lived(kept, fresh=True) == 0
    kept.write_text("28756230", encoding="ascii")
    assert provision._lived(kept, fresh=True) == 28756230
    kept.write_text("", encoding="ascii")
    assert provision._lived(kept, fresh=False) == 0
    with pytest.raises(PermanentError, match="holds no number"):
        provision._lived(kept, fresh=True)
