"""A whole fleet of real processes, started and stopped by the real command line, with its own directory and ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import psutil

from intelgraph.connection import connect
from intelgraph.control import issuer
from intelgraph.fleet.composition.parts import all_parts, mark
from intelgraph.fleet.layout.places import Fleet, locate
from intelgraph.fleet.layout.topology import GLOBAL_EDGE
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.supervisor.process import Identity, look, marked
from intelgraph.operations.site import Site, find_site
from tests import command
from tests.machine import WAIT_S, is_over, watch_the_machine

HOME, AWAY = "us-east", "eu-west"
GLOBAL = "global"
_COMMAND_TIMEOUT_S = 400.0
_UP_S = 300.0
"""How long ``up`` may take on a slow machine: four regions take 90 s where processors are twice slower than usual."""
_POLL_S = 0.02
_AGAIN_S = 0.2

TWO_REGIONS = f"""
state = "state"
ports = "free"
zones = ["us", "eu"]

[[region]]
name = "{HOME}"
zone = "us"

[[region]]
name = "{AWAY}"
zone = "eu"

[postgres.settings]
max_slot_wal_keep_size = "64MB"
"""


class CommandFailed(AssertionError):
    """An ``intelgraph`` command ended with a failure."""


class RunningFleet:
    """What a test may do to a fleet: type commands, find its processes, ask its databases."""

    def __init__(self, directory: Path, topology: str) -> None:
        self.directory = directory
        self.topology = directory / "intelgraph.toml"
        self.topology.write_text(topology, encoding="utf-8")
        self._tokens: dict[tuple[str, str], str] = {}
        self._located: Fleet | None = None

    def cli(self, *arguments: str, timeout_s: float = _COMMAND_TIMEOUT_S) -> Any:
        """Run one command with ``--json``; its answer, or ``CommandFailed`` with everything it said."""
        done = self._type(*arguments, timeout_s=timeout_s)
        if done.returncode != 0:
            raise CommandFailed(f"intelgraph {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def up(self) -> None:
        """Bring it up, or take over what runs of it, on a machine however slow."""
        self.cli("up", "--timeout", f"{_UP_S:.0f}s")

    def move(self, *arguments: str) -> Any:
        """``cli`` for what changes a placement: agents may change it too, and one of them at a time may."""
        began_s = time.monotonic()
        while True:
            try:
                return self.cli(*arguments)
            except CommandFailed as failed:
                if "already_moving" not in str(failed) or is_over(WAIT_S, began_s):
                    raise
                time.sleep(_AGAIN_S)

    def cli_any(self, *arguments: str) -> Any:
        """The same, whatever its exit code: what `status` shows of a fleet that is not whole."""
        return json.loads(self._type(*arguments, timeout_s=_COMMAND_TIMEOUT_S).stdout)

    def cli_with_code(self, *arguments: str) -> tuple[int, Any]:
        """The same, with the exit code."""
        done = self._type(*arguments, timeout_s=_COMMAND_TIMEOUT_S)
        return done.returncode, json.loads(done.stdout)

    def _type(self, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        told = [*arguments, "--topology", str(self.topology), "--json"]
        return command.run_text(told, directory=self.directory, timeout_s=timeout_s)

    @property
    def fleet(self) -> Fleet:
        """Where its things are: looked up once it is up, for clients ask at every request."""
        if self._located is None or not self._located.id:
            self._located = locate(load_topology(self.topology), start=self.directory)
        return self._located

    @property
    def site(self) -> Site:
        """Its regions' settings."""
        return find_site(self.fleet.state)

    def region_directory(self, region: str) -> Path:
        """Everything that one region has on disk."""
        return self.fleet.region(region)

    @property
    def doors(self) -> dict[str, str]:
        """The URL of each way in: the global edge and every region's."""
        fleet = self.fleet
        urls = {GLOBAL: f"http://127.0.0.1:{fleet.ports[GLOBAL_EDGE]}"}
        urls |= {each.name: f"http://127.0.0.1:{fleet.ports[f'{each.name}/edge']}" for each in fleet.topology.regions}
        return urls

    def token(self, tenant: str, role: str = "writer") -> str:
        """A token of a role."""
        if (tenant, role) not in self._tokens:
            self._tokens[tenant, role] = issuer.sign(self.fleet.state, tenant, role, 3_600)
        return self._tokens[tenant, role]

    def tenant(self, name: str, *placement: str) -> None:
        """Create a placement of the same name with the given options, and a tenant in it."""
        self.cli("placement", "create", name, *placement)
        self.cli("tenant", "create", name, "--placement", name)

    def processes(self, part: str) -> list[Identity]:
        """The processes of a part: the part itself first, then all that it started."""
        main = marked(mark(self.fleet, part))[:1]
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(main[0].pid).children(recursive=True) if main else []:
                seen = look(child.pid)
                main += [seen] if seen is not None else []
        return main

    def main_process(self, part: str) -> Identity:
        """The part itself."""
        found = self.processes(part)
        assert found, f"{part} does not run"
        return found[0]

    def supervisor(self) -> Identity:
        """The supervisor."""
        return self.main_process("supervisor")

    @contextlib.asynccontextmanager
    async def owner(self, region: str, *, database: str = "") -> AsyncIterator[asyncpg.Connection]:
        """A region's database, or another of its server's, as its owner."""
        login = self.site.region(region).admin_database
        if database:
            login = msgspec.structs.replace(login, database=database)
        connection = await connect(login, timeout_s=10, statement_timeout_s=60)
        try:
            yield connection
        finally:
            connection.terminate()

    def gaps(self) -> dict[str, dict[str, str]]:
        """Each region's placements that may lack rows, and why."""

        async def look_everywhere() -> dict[str, dict[str, str]]:
            found = {}
            for region in self.site.regions:
                async with self.owner(region) as database:
                    rows = await database.fetch("select id, gap from ig.placement where gap is not null")
                    found[region] = {row["id"]: row["gap"] for row in rows}
            return found

        return asyncio.run(look_everywhere())

    def wait_until_whole(self, wait_s: float = WAIT_S) -> None:
        """Wait until no region has a gap and every placement's logs are equal."""
        until(lambda: not any(self.gaps().values()), wait_s, "gaps are still open")
        self.cli("verify", "--wait", str(wait_s), timeout_s=wait_s + _COMMAND_TIMEOUT_S)

    def stop(self) -> None:
        """Stop everything and delete everything, whatever state it is in."""
        try:
            self.cli("down", "--wipe", "--yes")
        finally:
            self._end_processes()
            shutil.rmtree(self.directory, ignore_errors=True)

    def _end_processes(self) -> None:
        with contextlib.suppress(Exception):
            fleet = self.fleet
            if not fleet.id:
                return
            parts = sorted((part.name for part in all_parts(fleet)), key=lambda name: name.endswith("/postgres"))
            for part in ["supervisor", *parts]:
                for identity in marked(mark(fleet, part)):
                    if look(identity.pid) == identity:
                        os.kill(identity.pid, signal.SIGKILL)


@contextlib.contextmanager
def started(topology: str) -> Iterator[RunningFleet]:
    """Run a fleet for the length of the block; nothing of it is left, however the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="ig-e2e-"))
    directory.chmod(0o711)  # PostgreSQL's account passes through
    fleet = RunningFleet(directory, topology)
    watch_the_machine()
    try:
        fleet.up()
        yield fleet
    finally:
        fleet.stop()


def until(condition: Callable[[], Any], wait_s: float, otherwise: str | Callable[[], str]) -> Any:
    """Wait until a condition holds and return its value; ``wait_s`` is for a wait that may be longer than any other.

    ``otherwise``: what is told where it never holds, or what finds that out then.
    """
    began_s = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        if is_over(wait_s, began_s):
            told = otherwise if isinstance(otherwise, str) else otherwise()
            raise AssertionError(f"{told}, {time.monotonic() - began_s:.0f} s later")
        time.sleep(_POLL_S)


async def until_true(condition: Callable[[], Coroutine[Any, Any, Any]], wait_s: float, otherwise: str) -> Any:
    """The same for a condition that asks somebody."""
    began_s = time.monotonic()
    while True:
        value = await condition()
        if value:
            return value
        assert not is_over(wait_s, began_s), f"{otherwise}, {time.monotonic() - began_s:.0f} s later"
        await asyncio.sleep(_POLL_S)
