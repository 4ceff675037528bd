"""A full disk, or nobody left to tell: what keeps a fleet running goes on, and writes less."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.supervisor import supervisor as supervising
from intelgraph.fleet.supervisor.status import FleetStatus, Phase
from intelgraph.fleet.wan import listener as relaying
from intelgraph.fleet.wan.listener import LinkConfig, Relay, Report
from intelgraph.fleet.wan.settings import Ask, Cut, change
from tests.machine import WAIT_S
from tests.operations.fleets import located


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with located() as location:
        yield location.founded(None)


def test_a_supervisor_that_can_write_nothing_goes_on(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "write_notes", refuse)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=refuse))
    supervisor = supervising.Supervisor(fleet)
    supervisor._tended["us-east/api"]._become(Phase.STARTING, None)
    assert isinstance(asyncio.run(supervisor._answer(b'{"do":"release","part":"us-east"}')), FleetStatus)


def test_a_supervisor_goes_on_when_nobody_can_be_told(fleet: Fleet) -> None:
    supervisor = supervising.Supervisor(fleet, on_change=refuse)
    supervisor._tended["us-east/api"]._become(Phase.STARTING, None)
    assert supervisor._tended["us-east/api"].status().phase is Phase.STARTING


def test_a_link_is_healed_and_ends_its_cuts_although_that_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = LinkConfig(
        a="us-east", b="eu-west", default_delay_ms=0, listeners=[], socket=str(tmp_path / "s"), kept=str(tmp_path / "k")
    )

    async def body() -> None:
        relay = Relay(config)
        for ask in (Ask(a_to_b_cut=Cut.SILENT, for_s=0.1), Ask(a_to_b_cut=Cut.SILENT)):
            relay._obey(change(relay._kept, ask, now_unix_s=time.time()))
            monkeypatch.setattr(relaying, "write_whole", refuse)
            if ask.for_s is None:
                healed = relay._answer(b'{"heal":true}')
                assert isinstance(healed, Report) and healed.settings.a_to_b.cut is Cut.NONE
            async with asyncio.timeout(WAIT_S):
                while relay.report().settings.a_to_b.cut is not Cut.NONE:  # noqa: ASYNC110 - a timer decides
                    await asyncio.sleep(0.02)
            assert relay._ways["us-east"].now.cut is Cut.NONE
            assert not (tmp_path / "k").exists(), "a relay that is started anew must not cut again"
            monkeypatch.undo()

    asyncio.run(body())
