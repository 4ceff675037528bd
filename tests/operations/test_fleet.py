"""Operations on a fleet's processes: called without a terminal, and recorded with who asked before anything is done."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from intelgraph.fleet.composition.parts import mark
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import ControlKind
from intelgraph.fleet.supervisor import supervisor as supervisor_
from intelgraph.fleet.supervisor.process import MARK
from intelgraph.fleet.supervisor.status import FleetStatus, Phase
from intelgraph.fleet.supervisor.supervision import SUPERVISOR, refusal_path, the_only_one
from intelgraph.fleet.wan.settings import Ask, Cut
from intelgraph.model.errors import IntelGraphError
from intelgraph.operations.fleet import shutdown, startup
from intelgraph.operations.fleet.links import change_links, read_links
from intelgraph.operations.fleet.location import FleetLocation
from intelgraph.operations.fleet.parts import restart_part, start_part, stop_part
from intelgraph.operations.fleet.shutdown import bring_down, state_to_wipe
from intelgraph.operations.fleet.startup import bring_up, stay_up
from intelgraph.operations.operator import Step
from intelgraph.operations.record import Recorded, read_record, record_file
from tests.machine import WAIT_S

from .fleets import answering, located, person_at, relaying
from .sites import EU, PERSON, US


@pytest.fixture
def location() -> Iterator[FleetLocation]:
    with located() as found:
        yield found


def the_line(location: FleetLocation) -> Recorded:
    """The only line of the record; whoever asks is in it."""
    (line,) = read_record(location.recorded().state)
    assert line.actor == PERSON
    return line


def test_a_fleet_without_a_directory_is_founded_and_who_brings_it_up_is_recorded(location: FleetLocation) -> None:
    assert not location.recorded().state.exists()
    assert location.file.path is not None
    location.file.path.unlink()  # the supervisor finds no topology and ends at once
    steps: list[Step] = []
    with pytest.raises(IntelGraphError) as refused:
        asyncio.run(bring_up(location, PERSON, control=ControlKind.SQLITE, on_step=steps.append))
    assert refused.value.denied.code == "supervisor_ended"
    assert [step.text for step in steps] == ["the fleet starts in the background"]
    line = the_line(location)
    assert (line.operation, line.facts) == ("up", {"regions": [US, EU], "control": "sqlite", "foreground": False})


def test_a_fleet_that_runs_is_waited_for_and_nothing_is_recorded(location: FleetLocation) -> None:
    statuses: list[FleetStatus] = []

    async def body() -> None:
        async with answering(location.founded(None)):
            await bring_up(location, PERSON, timeout_s=0.2, on_status=statuses.append)

    with pytest.raises(IntelGraphError) as refused:
        asyncio.run(body())
    assert refused.value.denied.code == "not_ready"
    waiting = refused.value.denied.facts["parts"]
    assert isinstance(waiting, list) and "us-east/postgres" in waiting
    assert statuses and not statuses[-1].ready
    assert read_record(location.recorded().state) == []


def test_a_second_supervisor_is_refused_and_nothing_is_recorded(location: FleetLocation) -> None:
    async def body() -> None:
        async with answering(location.founded(None)):
            await asyncio.to_thread(stay_up, location, PERSON)

    with pytest.raises(IntelGraphError) as refused:
        asyncio.run(body())
    assert refused.value.denied.code == "already_up"
    with the_only_one(location.fleet()), pytest.raises(IntelGraphError) as refused:
        stay_up(location, PERSON)
    assert refused.value.denied.code == "already_supervised"
    assert read_record(location.recorded().state) == []


def test_a_fleet_is_brought_down_and_who_did_is_recorded(location: FleetLocation) -> None:
    async def body() -> None:
        async with answering(location.founded(None)) as supervisor:
            done = await bring_down(location, PERSON)
            assert (done.stopped, done.wiped) == (0, False)
            assert supervisor.status().stopping

    asyncio.run(body())
    line = the_line(location)
    assert (line.operation, line.facts) == ("down", {"wipe": False})


def test_a_fleet_that_is_deleted_takes_its_record_along(location: FleetLocation) -> None:
    state = location.founded(None).state
    assert state_to_wipe(location) == state
    done = asyncio.run(bring_down(location, PERSON, wipe=True))
    assert (done.state, done.wiped) == (state, True)
    assert not state.exists() and state_to_wipe(location) is None
    assert asyncio.run(bring_down(location, PERSON, wipe=True)).wiped is False
    assert not state.exists(), "the record is no reason to make a directory"


def test_a_deletion_that_is_refused_stops_and_records_nothing(location: FleetLocation) -> None:
    state = location.recorded().state
    state.mkdir()
    with pytest.raises(IntelGraphError) as refused:
        asyncio.run(bring_down(location, PERSON, wipe=True))
    assert refused.value.denied.code == "not_a_fleet"
    assert list(state.iterdir()) == []


def test_what_cannot_be_recorded_is_not_done(location: FleetLocation) -> None:
    fleet = location.founded(None)
    record_file(fleet.state).mkdir()

    async def body() -> None:
        async with answering(fleet) as supervisor:
            for work in (
                bring_down(location, PERSON, wipe=True),
                stop_part(person_at(fleet), US),
                restart_part(person_at(fleet), US),
                change_links(person_at(fleet), Ask(heal=True)),
            ):
                with pytest.raises(IntelGraphError) as refused:
                    await work
                assert refused.value.denied.code == "not_recorded"
            status = supervisor.status()
            assert not status.stopping and all(part.phase is Phase.WAITING for part in status.parts)

    asyncio.run(body())
    assert fleet.state.exists()


def test_a_region_is_lost_and_comes_back_and_who_did_is_recorded(location: FleetLocation) -> None:
    fleet = location.founded(None)

    async def body() -> None:
        async with answering(fleet):
            lost = await stop_part(person_at(fleet), US, for_s=60.0)
            assert {part.region for part in lost} == {US}
            assert {part.phase for part in lost} == {Phase.HELD}
            with pytest.raises(IntelGraphError) as refused:
                await restart_part(person_at(fleet), US)
            assert refused.value.denied.code == "held_down"
            back = await start_part(person_at(fleet), US)
            assert {part.name for part in back} == {part.name for part in lost}
            assert Phase.HELD not in {part.phase for part in back}

    asyncio.run(body())
    lines = read_record(fleet.state)
    assert [(line.operation, line.facts) for line in lines] == [
        ("fault stop", {"part": US, "for_s": 60.0}),
        ("restart", {"part": US}),
        ("fault start", {"part": US}),
    ]
    assert {line.actor for line in lines} == {PERSON}


def test_a_part_is_restarted_and_an_api_that_cannot_serve_is_told(location: FleetLocation) -> None:
    fleet = location.founded(None)

    async def body() -> None:
        async with answering(fleet) as supervisor:
            later = asyncio.get_running_loop().call_later  # each is ready a moment after it was asked for
            later(0.2, supervisor._tended["us-east/feed"].ready.set)
            (feed,) = await restart_part(person_at(fleet), "us-east/feed")
            assert feed.name == "us-east/feed"
            later(0.2, supervisor._tended["us-east/api"].ready.set)
            with pytest.raises(IntelGraphError) as refused:
                await restart_part(person_at(fleet), "us-east/api", timeout_s=0.1)
            assert refused.value.denied.code == "not_ready"

    asyncio.run(body())
    assert [(line.operation, line.actor) for line in read_record(fleet.state)] == [("restart", PERSON)] * 2


def test_where_no_supervisor_runs_that_is_said(location: FleetLocation) -> None:
    operator = person_at(location.founded(None))
    for work in (restart_part(operator, US), stop_part(operator, US), start_part(operator, US)):
        with pytest.raises(IntelGraphError) as refused:
            asyncio.run(work)
        assert refused.value.denied.code == "not_supervised"


def test_a_link_is_cut_as_it_was_named_and_healed_and_who_did_is_recorded(location: FleetLocation) -> None:
    fleet = location.founded(None)

    async def body() -> None:
        async with relaying(fleet):
            (seen,) = await read_links(fleet)
            assert (seen.a, seen.b) == (US, EU)
            (cut,) = await change_links(person_at(fleet), Ask(a_to_b_cut=Cut.RESET, a_to_b_delay_ms=0.0), (EU, US))
            assert (cut.settings.b_to_a.cut, cut.settings.a_to_b.cut) == (Cut.RESET, Cut.NONE)
            (healed,) = await change_links(person_at(fleet), Ask(heal=True))
            assert healed.settings.b_to_a.cut is Cut.NONE
            with pytest.raises(IntelGraphError) as refused:
                await change_links(person_at(fleet), Ask(heal=True), (EU, "ap-south"))
            assert refused.value.denied.code == "unknown_link"

    asyncio.run(body())
    lines = read_record(fleet.state)
    assert [(line.operation, line.actor, line.facts) for line in lines] == [
        ("wan", PERSON, {"between": ["eu-west us-east"], "a_to_b_cut": "reset", "a_to_b_delay_ms": 0.0}),
        ("wan", PERSON, {"between": ["us-east eu-west"], "heal": True}),
    ]


def test_a_supervisor_that_has_just_been_started_does_not_outlive_a_stop(location: FleetLocation) -> None:
    fleet = location.founded(None)
    environment = {**os.environ, MARK: mark(fleet, SUPERVISOR)}
    with subprocess.Popen(["sleep", "60"], env=environment) as starting:  # it has not come to the fleet's lock yet
        assert asyncio.run(bring_down(location, PERSON)).stopped == 0
        assert starting.wait(WAIT_S) == -signal.SIGKILL


def test_nobody_can_start_a_fleet_while_it_is_deleted(location: FleetLocation, monkeypatch: pytest.MonkeyPatch) -> None:
    location.founded(None)
    codes: list[str] = []

    def delete(fleet: Fleet) -> None:
        with pytest.raises(IntelGraphError) as refused, the_only_one(fleet):
            pass
        codes.append(refused.value.denied.code)

    monkeypatch.setattr(shutdown, "delete_state", delete)
    assert asyncio.run(bring_down(location, PERSON, wipe=True)).wiped
    assert codes == ["already_supervised"]


def test_a_part_that_does_not_become_ready_in_time_is_told_with_its_reason(location: FleetLocation) -> None:
    fleet = location.founded(None)

    async def body() -> None:
        async with answering(fleet) as supervisor:
            supervisor._tended["us-east/api"]._become(Phase.BACKING_OFF, "it ended with exit code 1")
            with pytest.raises(IntelGraphError) as refused:
                await restart_part(person_at(fleet), "us-east/api", timeout_s=0.2)
            assert refused.value.denied.code == "not_ready"
            assert "us-east/api is backing off (it ended with exit code 1)" in refused.value.denied.reason

    asyncio.run(body())


def test_who_brings_up_what_was_just_being_stopped_is_told_so_at_once(
    location: FleetLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def comes_too_early(fleet: Fleet, **_: object) -> subprocess.Popen[bytes]:
        refusal_path(fleet).write_text('{"code": "already_supervised", "reason": "it is being stopped"}')
        return subprocess.Popen(["true"])

    monkeypatch.setattr(startup, "spawn", comes_too_early)
    with pytest.raises(IntelGraphError) as refused:
        asyncio.run(bring_up(location, PERSON, timeout_s=WAIT_S))
    assert refused.value.denied.code == "not_started"


def test_the_end_of_a_hold_does_not_end_one_that_was_asked_for_while_it_began(
    location: FleetLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed, kills = asyncio.Event(), list[object]()

    async def kills_slowly(*marks: str, **_: float) -> int:
        kills.append(marks)
        await killed.wait()
        return 0

    monkeypatch.setattr(supervisor_, "end_leftovers", kills_slowly)
    fleet = location.founded(None)

    async def body() -> None:
        async with answering(fleet) as supervisor:
            short = asyncio.create_task(stop_part(person_at(fleet), US, for_s=60.0))
            async with asyncio.timeout(WAIT_S):
                while not kills:  # noqa: ASYNC110 - it is asked over a socket
                    await asyncio.sleep(0.01)
            lasting = asyncio.create_task(stop_part(person_at(fleet), US))
            async with asyncio.timeout(WAIT_S):
                while len(kills) < 2:  # noqa: ASYNC110 - it is asked over a socket
                    await asyncio.sleep(0.01)
            killed.set()
            await asyncio.gather(short, lasting)
            assert supervisor._tended["us-east/api"].is_held
            assert not supervisor._releasing, "nothing lets it go by itself"

    asyncio.run(body())
