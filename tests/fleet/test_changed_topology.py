"""What may be done with a fleet whose topology file has changed: stop it, and be told so by everything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from intelgraph.fleet.composition.parts import mark
from intelgraph.fleet.composition.region_files import write_files
from intelgraph.fleet.layout.places import Fleet, settle
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.postgres.server import ROLES, server_of
from intelgraph.fleet.supervisor.notes import Note, Notes, write_notes
from intelgraph.fleet.supervisor.process import MARK, look
from intelgraph.model.errors import IntelGraphError
from intelgraph.operations.edges import find_edges
from tests import command
from tests.machine import WAIT_S, is_over

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]


def topology(file: Path, *regions: str, ports: str = '"free"') -> Path:
    named = "".join(f'[[region]]\nname = "{region}"\nzone = "us"\n' for region in regions)
    file.write_text(f'ports = {ports}\nstate = "{file.stem}"\nzones = ["us"]\n{named}', encoding="utf-8")
    return file


def ig(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command.run_text([*arguments, "--topology", str(file), "--json"], directory=file.parent, timeout_s=60)


@contextmanager
def a_process_of(fleet: Fleet, part: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(SLEEP, env={**os.environ, MARK: mark(fleet, part)}, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(WAIT_S)


def note_of(process: subprocess.Popen[bytes]) -> Note:
    began_s = time.monotonic()
    while True:  # it is another process's copy until it has become what it was started as
        seen = look(process.pid)
        assert seen is not None and not is_over(10, began_s)
        if list(seen.command) == SLEEP:
            return Note(pid=seen.pid, birth=seen.birth, command=SLEEP, started_unix_s=0.0, restarts=0)


@pytest.mark.parametrize("verb", [["status"], ["logs"], ["import", "x", "--tenant", "t"], ["wan"]])
def test_a_region_that_the_fleet_never_had_is_told(place: Path, verb: list[str]) -> None:
    file = topology(place / f"{verb[0]}.toml", "a")
    settle(load_topology(file), start=place)
    topology(file, "a", "b")
    done = ig(file, *verb)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "topology_changed"


@pytest.mark.parametrize("now", [("a", "b", "c"), ("b",), ("b", "c")])
def test_down_stops_what_runs_whatever_the_file_names_now(place: Path, now: tuple[str, ...]) -> None:
    file = topology(place / f"down{'-'.join(now)}.toml", "a", "b")
    fleet = settle(load_topology(file), start=place)
    with a_process_of(fleet, "a/api") as noted, a_process_of(fleet, "wan:a--b") as unnoted:
        write_notes(fleet, Notes(plan="", parts={"a/api": note_of(noted)}))
        note_of(unnoted)
        topology(file, *now)
        done = ig(file, "down")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["stopped"] == 2
        assert noted.wait(WAIT_S) is not None and unnoted.wait(WAIT_S) is not None


def test_down_stops_a_fleet_whose_ports_were_numbered_when_it_was_brought_up(place: Path) -> None:
    file = topology(place / "numbered.toml", "a", ports="17400")
    fleet = settle(load_topology(file), start=place)
    with a_process_of(fleet, "a/feed") as process:
        note_of(process)
        topology(file, "a")
        done = ig(file, "down")
        assert json.loads(done.stdout)["stopped"] == 1, done.stderr
        assert process.wait(WAIT_S) is not None


def test_a_region_that_the_file_no_longer_names_has_no_edge(place: Path) -> None:
    file = topology(place / "shrunk.toml", "a", "b")
    fleet = settle(load_topology(file), start=place)
    for region in ("a", "b"):
        secrets = server_of(fleet, region).directory / "secrets"
        secrets.mkdir(parents=True)
        for role in ROLES:
            (secrets / role).write_text("secret")
    write_files(fleet)
    topology(file, "a")
    places = find_edges(None, file)
    assert set(places.edges) == {"a"}
    with pytest.raises(IntelGraphError, match="no longer names it"):
        places.edge("b")
