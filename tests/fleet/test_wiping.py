"""What ``down --wipe`` deletes: the state of this topology's own fleet, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from intelgraph.fleet.layout.kept import kept_path, read_kept
from intelgraph.fleet.layout.places import settle
from intelgraph.fleet.layout.topology_file import load_topology

REGIONS = 'ports = "free"\nzones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n'


def topology(directory: Path, *, state: str) -> Path:
    directory.mkdir(exist_ok=True)
    directory.chmod(0o711)
    file = directory / "intelgraph.toml"
    file.write_text(f'state = "{state}"\n{REGIONS}', encoding="utf-8")
    return file


def wipe(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "intelgraph.cli.main", "down", "--wipe", "--yes", "--json"]
    command += ["--topology", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=file.parent)


@pytest.mark.parametrize(
    ("typed", "told"), [("n\n", "it was not confirmed"), ("\n", "it was not confirmed"), ("", "--yes deletes without")]
)
def test_what_is_not_confirmed_is_neither_stopped_nor_deleted(place: Path, typed: str, told: str) -> None:
    file = topology(place / "unsure", state="kept")
    fleet = settle(load_topology(file), start=file.parent)
    command = [sys.executable, "-m", "intelgraph.cli.main", "down", "--wipe", "--json", "--topology", str(file)]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60, check=False, cwd=place)
    assert refusal(done) == "not_confirmed"
    assert told in done.stderr and "interrupted" not in done.stderr
    assert fleet.state.exists()


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    return str(json.loads(done.stdout)["error"]["code"])


def test_a_directory_that_was_never_a_fleet_is_not_deleted(place: Path) -> None:
    file = topology(place / "a", state="precious")
    photo = place / "a" / "precious" / "photo"
    photo.parent.mkdir()
    photo.write_text("irreplaceable")
    assert refusal(wipe(file)) == "not_a_fleet"
    assert photo.read_text() == "irreplaceable"


def test_the_fleet_of_another_topology_is_not_deleted_and_both_are_named(place: Path) -> None:
    ours, theirs = topology(place / "b", state=f"{place}/shared"), topology(place / "c", state=f"{place}/shared")
    fleet = settle(load_topology(theirs), start=theirs.parent)
    settle(load_topology(ours), start=ours.parent)  # whoever used it since: it is still theirs
    done = wipe(ours)
    assert refusal(done) == "not_our_fleet"
    assert str(ours) in done.stderr and str(theirs) in done.stderr
    assert fleet.state.exists()
    assert wipe(theirs).returncode == 0
    assert not fleet.state.exists()


def test_a_fleet_of_an_earlier_release_says_not_whose_it_is_and_is_deleted(place: Path) -> None:
    file = topology(place / "d", state="state")
    fleet = settle(load_topology(file), start=file.parent)
    path = kept_path(fleet.state)
    told = json.loads(path.read_text())
    del told["topology"]
    path.write_text(json.dumps(told))
    assert wipe(file).returncode == 0
    assert not fleet.state.exists()


def test_a_fleet_whose_topology_was_moved_or_written_since_is_still_ours(place: Path) -> None:
    file = topology(place / "e", state=f"{place}/e-state")
    fleet = settle(load_topology(file), start=file.parent)
    moved = file.rename(file.with_name("moved.toml"))
    assert wipe(moved).returncode == 0
    fleet = settle(load_topology(moved), start=moved.parent)
    told = json.loads(kept_path(fleet.state).read_text())
    kept_path(fleet.state).write_text(json.dumps({**told, "topology": str(moved.parent)}))  # it began without a file
    assert wipe(moved).returncode == 0


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "x", "ports": {"us-ea',
        "[]",
        '{"ports": {}}',
        '{"id": "x", "control": {"kind": "zookeeper", "members": []}}',
        '{"id": "x", "ports": {"us-east/api": "7401"}}',
        pytest.param("[" * 200_000, id="deep"),
    ],
)
def test_where_the_fleets_file_cannot_be_understood_nothing_is_stopped_or_deleted(place: Path, text: str) -> None:
    file = topology(place / f"f{len(text)}", state="state")
    fleet = settle(load_topology(file), start=file.parent)
    kept_path(fleet.state).write_text(text)
    done = wipe(file)
    assert refusal(done) == "fleet_unreadable"
    assert str(kept_path(fleet.state)) in done.stderr
    assert fleet.region("us-east").exists()


def test_a_wipe_that_could_not_delete_everything_can_be_done_again(place: Path) -> None:
    file = topology(place / "g", state="state")
    fleet = settle(load_topology(file), start=file.parent)
    stuck = fleet.region("us-east") / "stuck"
    stuck.mkdir()
    (stuck / "file").touch()
    mounted = (
        os.geteuid() == 0 and subprocess.run(["mount", "--bind", stuck, stuck], capture_output=True).returncode == 0
    )
    if not mounted:
        pytest.skip("only root can make a directory that cannot be deleted")
    try:
        assert refusal(wipe(file)) == "not_wiped"
        assert read_kept(fleet.state) is not None
    finally:
        subprocess.run(["umount", stuck], check=True)
    assert wipe(file).returncode == 0
    assert not fleet.state.exists()
