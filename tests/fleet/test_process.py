"""A recorded process is taken over only if it is that very process; whatever else has its pid is left alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from pathlib import Path

import pytest

from intelgraph.fleet.supervisor import process
from intelgraph.fleet.supervisor.process import (
    Identity,
    Launch,
    Recognition,
    Running,
    adopt,
    end_leftovers,
    look,
    marked,
    recognise,
    start,
    the_part_among,
)
from tests.machine import WAIT_S

SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")
PARENT = (
    sys.executable,
    "-c",
    "import subprocess as s, sys, time; s.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)",
)
ONE = Identity(pid=7, birth="boot/1", command=("a", "b"))


def _launch(directory: Path, command: tuple[str, ...], mark: str) -> Launch:
    log = directory / "log"
    return Launch(command=command, directory=directory, log=log, environment=dict(os.environ), mark=mark)


async def _until(condition: object, timeout_s: float = WAIT_S) -> None:
    assert callable(condition)
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a process of the system, which sets no event
            await asyncio.sleep(0.02)


def are_sleepers(mark: str, count: int) -> bool:
    """Whether so many run: for a moment after its start a process has no command line yet."""
    return [each.command for each in marked(mark)] == [SLEEPER] * count


@pytest.mark.parametrize(
    ("seen", "decided"),
    [
        (ONE, Recognition.SAME),
        (None, Recognition.GONE),
        (Identity(pid=7, birth="boot/2", command=("a", "b")), Recognition.ANOTHER),
        (Identity(pid=7, birth="reboot/1", command=("a", "b")), Recognition.ANOTHER),
        (Identity(pid=7, birth="boot/1", command=("other",)), Recognition.ANOTHER),
        (Identity(pid=8, birth="boot/1", command=("a", "b")), Recognition.ANOTHER),
    ],
)
def test_a_process_is_recognised_by_pid_birth_and_command(seen: Identity | None, decided: Recognition) -> None:
    assert recognise(ONE, seen) is decided


def test_a_part_is_adopted_watched_and_ended_by_one_who_is_not_its_parent(tmp_path: Path) -> None:
    async def scenario() -> None:
        mark = str(uuid.uuid4())
        child = start(_launch(tmp_path, SLEEPER, mark))
        await _until(lambda: are_sleepers(mark, 1))
        adopted = adopt(child.identity)
        assert adopted is not None
        assert adopted.alive()
        waiting = asyncio.ensure_future(adopted.wait())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        adopted.send(signal.SIGKILL)
        await asyncio.wait_for(waiting, WAIT_S)
        assert await asyncio.wait_for(child.wait(), WAIT_S) == -signal.SIGKILL
        assert look(child.identity.pid) is None

    asyncio.run(scenario())


def test_a_pid_that_belongs_to_another_program_is_neither_adopted_nor_signalled(tmp_path: Path) -> None:
    async def scenario() -> None:
        bystander = start(_launch(tmp_path, SLEEPER, str(uuid.uuid4())))
        stale = Identity(pid=bystander.identity.pid, birth="an earlier boot/1", command=SLEEPER)
        assert adopt(stale) is None
        Running(identity=stale).send(signal.SIGKILL)
        await asyncio.sleep(0.2)
        assert bystander.alive()
        bystander.send(signal.SIGKILL)
        await asyncio.wait_for(bystander.wait(), WAIT_S)

    asyncio.run(scenario())


def test_a_pid_that_is_gone_is_not_adopted() -> None:
    assert adopt(Identity(pid=2**22 - 3, birth="boot/1", command=("x",))) is None


def test_the_part_is_told_from_the_children_it_left_and_they_are_ended(tmp_path: Path) -> None:
    async def scenario() -> None:
        mark = str(uuid.uuid4())
        parent = start(_launch(tmp_path, PARENT, mark))
        await _until(lambda: len(marked(mark)) == 2)
        the_part = the_part_among(marked(mark), PARENT)
        assert the_part is not None
        assert the_part.pid == parent.identity.pid
        parent.send(signal.SIGKILL)
        await asyncio.wait_for(parent.wait(), WAIT_S)
        assert len(marked(mark)) == 1
        assert the_part_among(marked(mark), PARENT) is None
        assert await end_leftovers(mark, patience_s=0.0) == 1
        assert marked(mark) == []

    asyncio.run(scenario())


def test_two_may_wait_for_one_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        child = start(_launch(tmp_path, SLEEPER, str(uuid.uuid4())))
        waits = [asyncio.ensure_future(child.wait()) for _ in range(2)]
        await asyncio.sleep(0.05)
        child.send(signal.SIGTERM)
        assert await asyncio.wait_for(asyncio.gather(*waits), WAIT_S) == [-signal.SIGTERM] * 2

    asyncio.run(scenario())


def test_many_that_do_not_vanish_are_waited_for_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Running) -> None:
        await asyncio.Event().wait()

    async def scenario() -> None:
        mark = str(uuid.uuid4())
        monkeypatch.setattr(process, "ENDED_WITHIN_S", 1.0)
        started = [start(_launch(tmp_path, SLEEPER, mark)) for _ in range(2 * int(WAIT_S))]
        await _until(lambda: are_sleepers(mark, len(started)))
        monkeypatch.setattr(Running, "wait", never)
        assert await asyncio.wait_for(end_leftovers(mark, patience_s=0.0), WAIT_S) == len(started)
        monkeypatch.undo()
        for each in started:
            await asyncio.wait_for(each.wait(), WAIT_S)

    asyncio.run(scenario())
