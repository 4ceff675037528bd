"""``up``, ``down``, ``status``, ``logs``, ``restart`` and ``wan`` on one real fleet, and what they survive."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from intelgraph.connection import connect
from intelgraph.fleet.composition.parts import all_parts, mark
from intelgraph.fleet.layout.places import Fleet, locate
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.postgres.server import ADMIN, server_of
from intelgraph.fleet.supervisor.notes import notes_path, read_notes, write_notes
from intelgraph.fleet.supervisor.process import look, marked
from intelgraph.fleet.supervisor.status import Phase, Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.actor import Channel
from intelgraph.operations.fleet.location import FleetLocation, FleetOperator
from intelgraph.operations.fleet.parts import restart_part
from intelgraph.operations.fleet.startup import bring_up
from intelgraph.operations.record import read_record
from tests import command
from tests.machine import WAIT_S, stretched
from tests.operations.sites import PERSON

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(400)]
TIMEOUT_S = 240.0


def _run(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command.run_text([*arguments, "--topology", str(file)], directory=file.parent, timeout_s=TIMEOUT_S)


def _ok(file: Path, *arguments: str) -> str:
    done = _run(file, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _fleet(file: Path) -> Fleet:
    return locate(load_topology(file), start=file.parent)


def _status(file: Path, *options: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_run(file, "status", "--json", *options).stdout)
    return told


def _pids(file: Path) -> dict[str, int]:
    return {each["part"]["name"]: each["part"]["pid"] for each in _status(file, "--quick")["parts"]}


def _until(condition: Callable[[], bool], timeout_s: float = 2 * WAIT_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def _serves(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _left(fleet: Fleet) -> list[str]:
    return [part.name for part in all_parts(fleet) if marked(mark(fleet, part.name))]


@pytest.fixture(scope="module")
def running(two_regions: Path) -> Iterator[Path]:
    """A fleet that is up; whatever a test did to it, nothing of it is left afterwards."""
    try:
        _ok(two_regions, "up", "--timeout", "120")
        yield two_regions
    finally:
        fleet = _fleet(two_regions)
        _run(two_regions, "down", "--wipe", "--yes")
        assert fleet.id == "" or _left(fleet) == []
        assert not fleet.state.exists()


def test_every_address_that_up_prints_answers(running: Path) -> None:
    told = json.loads(_ok(running, "up", "--json"))
    assert told["ready"]
    assert set(told["addresses"]) == {"global-edge", "us-east", "eu-west"}
    for url in told["addresses"].values():
        _until(lambda url=url: _serves(url))


def test_a_second_up_changes_nothing_and_says_so(running: Path) -> None:
    before = _pids(running)
    assert _ok(running, "up").startswith("The fleet is running already")
    assert _pids(running) == before


def test_up_with_another_topology_over_the_same_state_is_refused(running: Path) -> None:
    changed = running.parent / "changed.toml"
    changed.write_text(running.read_text(encoding="utf-8") + "[api]\nworkers = 2\n", encoding="utf-8")
    done = _run(changed, "up")
    assert done.returncode == 1
    assert "another topology" in done.stderr


def test_status_tells_of_every_part_its_memory_and_the_lag(running: Path) -> None:
    def lag_is_known() -> bool:
        regions = _status(running)["regions"]
        subscribers = [(each["subscriber"], each["state"]) for region in regions for each in region["subscribers"]]
        lags = [stream["echo_lag_ms"] for region in regions for stream in region["streams"]]
        return None not in lags and subscribers == [("streams", "following")] * len(regions)

    _until(lag_is_known)
    told = _status(running)
    assert told["ready"]
    kinds = [each["part"]["kind"] for each in told["parts"]]
    every_region = ["postgres", "agent", "api", "feed", "edge"]
    assert sorted(kinds) == sorted([*every_region * 2, "wan", "agent", "global-edge"])
    assert all(each["pss_bytes"] > 0 and each["uptime_s"] >= 0 for each in told["parts"])
    assert told["pss_bytes"] < 1.2e9
    text = _run(running, "status")
    assert text.returncode == 0
    assert "us-east/postgres" in text.stdout
    assert "subscriber streams   following, " in text.stdout
    assert "\x1b[" not in text.stdout


def test_secrets_are_readable_by_their_owner_alone(running: Path) -> None:
    fleet = _fleet(running)
    secret = [fleet.issuer / "private.pem", notes_path(fleet)]
    for region in ("us-east", "eu-west"):
        secret += [fleet.region_config(region), *(server_of(fleet, region).directory / "secrets").iterdir()]
    assert len(secret) == 12
    for path in secret:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(fleet.supervisor_socket.stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(fleet.common.stat().st_mode) == 0o700


def test_logs_show_one_part_one_region_or_everything(running: Path) -> None:
    lines = _ok(running, "logs", "supervisor", "-n", "500").splitlines()
    assert any("us-east/postgres is ready" in line for line in lines)
    told = [json.loads(line) for line in _ok(running, "logs", "eu-west", "--json", "-n", "1").splitlines()]
    assert {each["part"].split("/")[0] for each in told} == {"eu-west"}
    done = _run(running, "logs", "nothing")
    assert done.returncode == 1
    assert "us-east/api" in done.stderr


def test_restart_replaces_one_part_and_leaves_the_others(running: Path) -> None:
    before = _pids(running)
    _ok(running, "restart", "us-east/feed")
    after = _pids(running)
    assert {name for name in before if before[name] != after[name]} == {"us-east/feed"}
    done = _run(running, "restart", "us-east/nothing")
    assert done.returncode == 1
    assert "known are" in done.stderr


def test_wan_is_seen_cut_and_healed_in_the_direction_that_was_typed(running: Path) -> None:
    told = json.loads(_ok(running, "wan", "eu-west", "us-east", "--cut", "a-to-b", "--for", "60s", "--json"))
    settings = told["links"][0]["settings"]
    assert (settings["b_to_a"]["cut"], settings["a_to_b"]["cut"]) == ("silent", "none")
    assert "cut" in _ok(running, "wan")
    assert "open" in _ok(running, "wan", "--heal")
    for wrong in (["us-east", "nowhere"], ["us-east"], ["--delay-ms", "5"], ["us-east", "eu-west", "--for", "soon"]):
        assert _run(running, "wan", *wrong).returncode in (1, 2)


def test_who_asked_is_recorded_whether_it_was_typed_or_called(running: Path) -> None:
    fleet, location = _fleet(running), FleetLocation(file=load_topology(running), start=running.parent)
    before = read_record(fleet.state)
    assert before[0].operation == "up" and before[0].facts["foreground"] is False
    assert {line.actor.channel for line in before} == {Channel.CLI}
    restarted = asyncio.run(restart_part(FleetOperator(fleet=fleet, actor=PERSON), "eu-west/feed"))
    assert [(part.name, part.phase) for part in restarted] == [("eu-west/feed", Phase.READY)]
    assert asyncio.run(bring_up(location, PERSON)).already
    added = read_record(fleet.state)[len(before) :]
    assert [(line.operation, line.actor) for line in added] == [("restart", PERSON)]


@pytest.mark.prove
def test_a_hold_that_was_released_early_does_not_end_the_next_one(running: Path) -> None:
    part = "eu-west/feed"

    def phase() -> str:
        told = ask(_fleet(running), Request(do="status"))
        return next(each.phase.value for each in told.parts if each.name == part) if told else ""

    fleet = _fleet(running)
    began = time.monotonic()  # by its socket: three commands may take longer than the first hold
    for request in (Request(do="hold", part=part, for_s=4), Request(do="release", part=part)):
        assert ask(fleet, request) is not None
    assert ask(fleet, Request(do="hold", part=part, for_s=600)) is not None
    assert time.monotonic() - began < stretched(4, began), "too slow a machine to tell the two holds apart"
    _until(lambda: time.monotonic() - began > 5)
    assert phase() == "held"
    refused = _run(running, "restart", part)
    assert (refused.returncode, "`intelgraph fault start eu-west/feed`" in refused.stderr) == (1, True), refused.stderr
    _ok(running, "fault", "start", part)
    _until(lambda: phase() == "ready")


@pytest.mark.parametrize(
    "name",
    [
        "us-east/postgres",
        *(
            pytest.param(name, marks=pytest.mark.prove)
            for name in ("eu-west/api", "us-east/edge", "global-edge", "eu-west/feed")
        ),
    ],
)
def test_a_killed_part_is_replaced(running: Path, name: str) -> None:
    before = _pids(running)
    os.kill(before[name], signal.SIGKILL)

    def replaced() -> bool:
        told = _status(running, "--quick")
        return bool(told["ready"]) and _pids(running)[name] != before[name]

    _until(replaced)
    after = _pids(running)
    feeds = {f"{region}/feed" for region in ("us-east", "eu-west")}  # a feed may end with its database and start again
    assert {each for each in before if before[each] != after[each]} - feeds == {name} - feeds


@pytest.mark.prove
def test_killing_the_supervisor_stops_nothing_and_up_takes_over_what_runs(running: Path) -> None:
    before, addresses = _pids(running), _status(running, "--quick")["addresses"]
    os.kill(_status(running, "--quick")["supervisor_pid"], signal.SIGKILL)
    _until(lambda: not _status(running, "--quick")["supervised"])
    assert all(_serves(url) for url in addresses.values())
    assert _pids(running) == before
    assert f"({len(before)} parts taken over)" in _ok(running, "up")
    assert _pids(running) == before
    os.kill(before["us-east/edge"], signal.SIGKILL)  # what was taken over is tended like any other
    _until(
        lambda: bool(_status(running, "--quick")["ready"]) and _pids(running)["us-east/edge"] != before["us-east/edge"]
    )


@pytest.mark.prove
def test_a_part_that_died_unwatched_is_replaced_and_one_that_was_not_noted_is_found(running: Path) -> None:
    before, fleet = _pids(running), _fleet(running)
    os.kill(_status(running, "--quick")["supervisor_pid"], signal.SIGKILL)
    _until(lambda: not _status(running, "--quick")["supervised"])
    os.kill(before["eu-west/feed"], signal.SIGKILL)
    notes = read_notes(fleet)
    forgotten = {name: note for name, note in notes.parts.items() if name != "us-east/feed"}
    write_notes(fleet, msgspec.structs.replace(notes, parts=forgotten))
    _ok(running, "up")
    after = _pids(running)
    assert {name for name in before if before[name] != after[name]} == {"eu-west/feed"}


def test_down_without_a_supervisor_stops_everything_and_up_starts_it_again(running: Path) -> None:
    os.kill(_status(running, "--quick")["supervisor_pid"], signal.SIGKILL)
    _until(lambda: not _status(running, "--quick")["supervised"])
    assert "stopped (13 parts)" in _ok(running, "down")
    assert _left(_fleet(running)) == []
    assert "was not running" in _ok(running, "down")
    _ok(running, "up", "--timeout", "120")


@pytest.mark.prove
def test_a_pid_of_another_program_in_the_notes_is_left_alone(running: Path) -> None:
    _ok(running, "down")
    fleet = _fleet(running)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    try:
        notes = read_notes(fleet)
        seen = look(bystander.pid)
        assert seen is not None
        stale = {
            "pid": bystander.pid,
            "birth": "another boot/1",
            "command": list(seen.command),
            "started_unix_s": 0.0,
            "restarts": 0,
        }
        text = {"plan": notes.plan, "parts": {part.name: stale for part in all_parts(fleet)}}
        notes_path(fleet).write_text(json.dumps(text), encoding="utf-8")
        _ok(running, "up", "--timeout", "120")
        assert bystander.poll() is None
        assert bystander.pid not in _pids(running).values()
    finally:
        bystander.kill()
        bystander.wait(WAIT_S)


@pytest.mark.prove
def test_a_region_whose_database_was_lost_begins_a_life_it_never_had(running: Path) -> None:
    def lives() -> dict[str, int]:
        return {region["region"]: region["life"] for region in _status(running)["regions"]}

    before = lives()
    _ok(running, "down")
    shutil.rmtree(server_of(_fleet(running), "us-east").data)
    _ok(running, "up", "--timeout", "120")
    after = lives()
    assert after["us-east"] > before["us-east"]
    assert after == {**before, "us-east": after["us-east"]}


def test_data_whose_schema_another_release_made_is_refused_at_once_and_left_as_it_is(running: Path) -> None:
    server = server_of(_fleet(running), "us-east")

    async def exchange(digest: str) -> str:
        connection = await connect(server.login(ADMIN))
        try:
            before = await connection.fetchval("select schema_digest from ig.region")
            await connection.execute("update ig.region set schema_digest = $1", digest)
        finally:
            await connection.close()
        return str(before)

    ours = asyncio.run(exchange("0" * 64))
    _ok(running, "down")
    done = _run(running, "up", "--timeout", "120")
    assert done.returncode == 1
    assert "the data of us-east is refused: another release made its schema" in done.stderr
    assert asyncio.run(exchange(ours)) == "0" * 64
    _ok(running, "down")
    _ok(running, "up", "--timeout", "120")


@pytest.mark.prove
def test_a_taken_port_is_told_with_the_part_that_wants_it_and_who_holds_it(running: Path) -> None:
    _ok(running, "down")
    port = _fleet(running).ports["us-east/edge"]
    with socket.create_server(("127.0.0.1", port)):
        done = _run(running, "up")
        assert done.returncode == 1
        assert re.search(rf"port {port} of us-east/edge is held by .+ \(pid {os.getpid()}\)", done.stderr)
        assert _left(_fleet(running)) == []
    _ok(running, "up", "--timeout", "120")


def test_in_the_foreground_an_interrupt_stops_everything(running: Path) -> None:
    _ok(running, "down")
    command = [sys.executable, "-m", "intelgraph.cli.main", "up", "--foreground", "--topology", str(running)]
    shown = running.parent / "foreground.txt"
    with shown.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=running.parent, start_new_session=True)
    try:
        _until(lambda: "Ctrl-C stops it" in shown.read_text(encoding="utf-8"), 120)
        assert "in the background" in _run(running, "up", "--foreground").stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
    assert _left(_fleet(running)) == []
    last = read_record(_fleet(running).state)[-1]
    assert (last.operation, last.facts["foreground"]) == ("up", True)
    _ok(running, "up", "--timeout", "120")


def test_a_setting_that_postgresql_does_not_know_is_told_before_anything_starts(place: Path) -> None:
    file = place / "typo.toml"
    file.write_text(
        'ports = "free"\nstate = "typo"\nzones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n'
        '[postgres.settings]\nshared_bufers = "1GB"\n',
        encoding="utf-8",
    )
    done = _run(file, "up")
    assert done.returncode == 1
    assert 'unrecognized configuration parameter "shared_bufers"' in done.stderr


def test_without_a_fleet_the_verbs_say_how_to_make_one(place: Path) -> None:
    file = place / "none.toml"
    file.write_text('state = "none"\nzones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n', encoding="utf-8")
    for verb in (["status"], ["logs"], ["restart", "us-east/api"], ["wan"]):
        done = _run(file, *verb, "--json")
        assert done.returncode == 1
        assert json.loads(done.stdout)["error"]["code"] == "no_fleet"
        assert "intelgraph up" in done.stderr
    assert "was not running" in _ok(file, "down")
