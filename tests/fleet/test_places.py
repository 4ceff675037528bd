"""Where a fleet keeps things: chosen once and kept, private, short enough for sockets."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path

import pytest

from intelgraph.fleet.composition.parts import Kind, all_parts
from intelgraph.fleet.layout.binaries import ROOT_STATE, can_reach, server_account
from intelgraph.fleet.layout.places import Fleet, locate, locate_kept, settle, state_directory
from intelgraph.fleet.layout.topology import ControlKind, port_names
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.postgres.server import server_of
from intelgraph.fleet.supervisor.notes import Note, Notes, may_adopt, plan_digest, read_notes, write_notes
from intelgraph.fleet.supervisor.stop_order import kind_of, stop_levels
from intelgraph.model.errors import IntelGraphError
from tests.machine import WAIT_S

AS_ROOT = os.geteuid() == 0


def test_free_ports_are_chosen_once_and_kept(two_regions: Path) -> None:
    file = load_topology(two_regions)
    first = settle(file, start=two_regions.parent)
    assert sorted(first.ports) == sorted(port_names(file.topology))
    assert len(set(first.ports.values())) == len(first.ports)
    assert settle(file, start=two_regions.parent) == first
    assert locate(file, start=two_regions.parent) == first


def test_two_who_settle_one_new_fleet_at_once_agree(place: Path, two_regions: Path) -> None:
    shutil.rmtree(place / ".intelgraph", ignore_errors=True)
    file = load_topology(two_regions)
    settled: list[Fleet] = []
    threads = [threading.Thread(target=lambda: settled.append(settle(file, start=place))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert len(settled) == 8
    assert all(fleet == settled[0] for fleet in settled)


def test_others_see_nothing_of_the_state(two_regions: Path) -> None:
    fleet = settle(load_topology(two_regions), start=two_regions.parent)
    for directory in (fleet.state, fleet.common, fleet.run, fleet.region("us-east"), fleet.logs("us-east")):
        assert stat.S_IMODE(directory.stat().st_mode) & 0o066 == 0, directory


def test_a_long_path_gets_short_sockets(place: Path) -> None:
    deep = place / ("d" * 90)
    deep.mkdir(exist_ok=True)
    deep.chmod(0o711)
    file = deep / "intelgraph.toml"
    file.write_text('ports = "free"\nzones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n', encoding="utf-8")
    fleet = settle(load_topology(file), start=deep)
    try:
        for path in (fleet.supervisor_socket, fleet.wan_socket("a--b"), fleet.edge_admin_socket("us-east")):
            assert len(os.fsencode(path)) < 100
        assert server_of(fleet, "us-east").socket_directory is None
    finally:
        shutil.rmtree(fleet.run)


@pytest.mark.skipif(not AS_ROOT, reason="only root runs PostgreSQL as another account")
def test_a_state_directory_that_the_servers_account_cannot_enter_is_refused(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    assert not can_reach(private / "state", server_account())
    file = place / "unreachable.toml"
    file.write_text(
        'state = "private/state"\nzones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n', encoding="utf-8"
    )
    with pytest.raises(IntelGraphError, match="cannot enter it"):
        settle(load_topology(file), start=place)


@pytest.mark.skipif(not AS_ROOT, reason="only root runs PostgreSQL as another account")
def test_checkouts_that_the_servers_account_cannot_enter_have_a_state_each(place: Path) -> None:
    private = place / "closed"
    (private / "intel graph").mkdir(parents=True, exist_ok=True)
    (private / "other").mkdir(exist_ok=True)
    private.chmod(0o700)
    nowhere = load_topology(None)
    one, again, other = (
        state_directory(nowhere, start=private / name) for name in ("intel graph", "intel graph", "other")
    )
    assert one == again != other
    assert one.parent == other.parent == ROOT_STATE
    assert one.name.startswith("intel-graph-")


def test_parts_stop_from_the_outside_in(two_regions: Path) -> None:
    fleet = settle(load_topology(two_regions), start=two_regions.parent)
    levels = [{kind_of(name) for name in level} for level in stop_levels([part.name for part in all_parts(fleet)])]
    assert levels == [{Kind.EDGE, Kind.GLOBAL_EDGE}, {Kind.API, Kind.FEED}, {Kind.WAN, Kind.AGENT}, {Kind.POSTGRES}]


def test_a_parts_name_says_of_which_kind_it_is(place: Path) -> None:
    file = place / "kinds.toml"
    regions = "".join(f'[[region]]\nname = "{name}"\nzone = "us"\n' for name in ("a", "b"))
    file.write_text(f'ports = "free"\nstate = "kinds"\nzones = ["us"]\n{regions}', encoding="utf-8")
    fleet = settle(load_topology(file), start=place, control=ControlKind.ETCD)
    parts = all_parts(fleet)
    assert {part.name: kind_of(part.name) for part in parts} == {part.name: part.kind for part in parts}
    assert kind_of("a/of-another-release") is None
    assert stop_levels(["a/of-another-release", "a/edge"]) == [["a/edge"], ["a/of-another-release"]]


def test_a_region_that_the_fleet_never_had_is_told_with_the_way_out(place: Path) -> None:
    file = place / "grown.toml"
    text = 'ports = "free"\nstate = "grown"\nzones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n'
    file.write_text(text, encoding="utf-8")
    fleet = settle(load_topology(file), start=place)
    file.write_text(f'{text}[[region]]\nname = "us-west"\nzone = "us"\n', encoding="utf-8")
    with pytest.raises(
        IntelGraphError, match=r"names us-west, .*never had.*`intelgraph down`, then `intelgraph up`"
    ) as e:
        locate(load_topology(file), start=place)
    assert (e.value.denied.code, e.value.denied.facts["new"]) == ("topology_changed", ["us-west"])
    assert locate_kept(load_topology(file), start=place).id == fleet.id
    grown = settle(load_topology(file), start=place)
    assert locate(load_topology(file), start=place) == grown
    assert {name: grown.ports[name] for name in fleet.ports} == fleet.ports


def test_only_a_process_of_the_same_plan_and_command_may_be_adopted(two_regions: Path) -> None:
    fleet = settle(load_topology(two_regions), start=two_regions.parent)
    part, plan = all_parts(fleet)[0], plan_digest(fleet)
    note = Note(pid=1, birth="boot/1", command=list(part.command), started_unix_s=0, restarts=0)
    write_notes(fleet, Notes(plan=plan, parts={part.name: note}))
    notes = read_notes(fleet)
    assert may_adopt(notes, plan=plan, part=part) == note
    assert may_adopt(notes, plan="another", part=part) is None
    assert may_adopt(notes, plan=plan, part=all_parts(fleet)[1]) is None
    other = Note(pid=1, birth="boot/1", command=["another"], started_unix_s=0, restarts=0)
    assert may_adopt(Notes(plan=plan, parts={part.name: other}), plan=plan, part=part) is None


def test_notes_that_cannot_be_read_are_no_notes(two_regions: Path) -> None:
    fleet = settle(load_topology(two_regions), start=two_regions.parent)
    (fleet.common / "parts.json").write_text("{", encoding="utf-8")
    assert read_notes(fleet) == Notes(plan="", parts={})


def test_whoever_asks_with_another_tmpdir_finds_the_same_sockets(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = place / ("d" * 90)
    deep.mkdir(exist_ok=True)
    one = locate(load_topology(None), start=deep).supervisor_socket
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert locate(load_topology(None), start=deep).supervisor_socket == one


@pytest.mark.parametrize("state", [".", "photos"])
def test_a_directory_with_other_things_in_it_becomes_no_fleets(place: Path, state: str) -> None:
    home = place / f"home-{len(state)}"
    (home / "photos" / "2025").mkdir(parents=True)
    home.chmod(0o755)
    file = home / "intelgraph.toml"
    file.write_text(f'state = "{state}"\nzones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n', "utf-8")
    with pytest.raises(IntelGraphError) as refused:
        settle(load_topology(file), start=home)
    assert refused.value.denied.code == "state_not_empty"
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert not (home / state / "fleet").exists()


def test_what_an_up_that_was_stopped_has_left_is_taken(place: Path) -> None:
    for name in ("fleet", "regions/us-east", "lost+found"):
        (place / "begun" / name).mkdir(parents=True)
    file = place / "begun.toml"
    file.write_text('state = "begun"\nzones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n', "utf-8")
    assert settle(load_topology(file), start=place).id
