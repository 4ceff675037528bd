"""Fleets for tests of operations: a founded one whose supervisor answers and starts nothing, and a link's relay."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.supervisor.process import Launch, start
from intelgraph.fleet.supervisor.supervisor import Supervisor
from intelgraph.fleet.wan import asking as wan
from intelgraph.model.errors import TransientError
from intelgraph.operations.fleet.location import FleetLocation, FleetOperator
from tests.machine import WAIT_S

from .sites import PERSON

TOPOLOGY = (
    'ports = "free"\nzones = ["us", "eu"]\nstate = "state"\n'
    '[[region]]\nname = "us-east"\nzone = "us"\n[[region]]\nname = "eu-west"\nzone = "eu"\n'
)


@contextmanager
def located() -> Iterator[FleetLocation]:
    """A topology of two regions in a short directory that an unprivileged account may pass through."""
    place = Path(tempfile.mkdtemp(prefix="igt-"))
    place.chmod(0o711)
    file = place / "intelgraph.toml"
    file.write_text(TOPOLOGY, encoding="utf-8")
    try:
        yield FleetLocation(file=load_topology(file), start=place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def person_at(fleet: Fleet) -> FleetOperator:
    """A person who came by HTTP."""
    return FleetOperator(fleet=fleet, actor=PERSON)


@asynccontextmanager
async def answering(fleet: Fleet) -> AsyncIterator[Supervisor]:
    """The fleet's supervisor, which answers on its socket; no part is started."""
    supervisor = Supervisor(fleet)
    server = await supervisor._listen()
    try:
        yield supervisor
    finally:
        server.close()


@asynccontextmanager
async def relaying(fleet: Fleet) -> AsyncIterator[None]:
    """The relay process of the fleet's only link."""
    (link,) = fleet.topology.links
    config = wan.write_config(fleet, link)
    command = (sys.executable, "-m", "intelgraph.fleet.wan.listener", "--config", str(config))
    log = fleet.common_logs / "wan.log"
    relay = start(
        Launch(command=command, directory=fleet.common, log=log, environment=dict(os.environ), mark="a test's")
    )
    try:
        async with asyncio.timeout(WAIT_S):
            while not await asyncio.to_thread(_answers, fleet):  # noqa: ASYNC110 - another process decides
                await asyncio.sleep(0.02)
        yield
    finally:
        relay.send(signal.SIGKILL)
        await relay.wait()


def _answers(fleet: Fleet) -> bool:
    try:
        wan.ask(fleet, fleet.topology.links[0])
    except TransientError:
        return False
    return True
