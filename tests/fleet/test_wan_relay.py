"""A relay process between two real sockets: delayed, cut one way, healed, reset, by itself again after its time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.fleet.layout.topology import Link, default_topology
from intelgraph.fleet.supervisor.process import Launch, Running, start
from intelgraph.fleet.wan import asking as wan
from intelgraph.fleet.wan.listener import LinkConfig, Listener, Report
from intelgraph.fleet.wan.settings import Ask, Cut
from tests.machine import WAIT_S, stretched

LINK = Link(a="us-east", b="eu-west")


@dataclass
class Site:
    """A relay, an echo server that it leads to, and what that server has received."""

    fleet: Fleet
    config: Path
    port: int
    process: Running
    received: bytearray = field(default_factory=bytearray)
    accepted: int = 0

    async def ask(self, request: Ask | None = None) -> Report:
        return await asyncio.to_thread(wan.ask, self.fleet, LINK, request)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 26)

    async def start(self) -> None:
        directory = self.config.parent
        command = (sys.executable, "-m", "intelgraph.fleet.wan.listener", "--config", str(self.config))
        environment = dict(os.environ)
        self.process = start(
            Launch(command=command, directory=directory, log=directory / "log", environment=environment, mark="test")
        )
        await _until(self._answers)

    async def kill(self) -> None:
        self.process.send(signal.SIGKILL)
        await asyncio.wait_for(self.process.wait(), 10)

    async def _answers(self) -> bool:
        try:
            await self.ask()
        except Exception:
            return False
        return True


async def _until(condition: Callable[[], Awaitable[bool]], timeout_s: float = WAIT_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - another process decides
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def _site(place: Path) -> AsyncIterator[Site]:
    port, target = free_ports(2)
    fleet = Fleet(topology=default_topology(), state=place, run=place, ports={}, id="test")
    config = place / "link.json"
    listener = Listener(source=LINK.a, port=port, target_port=target)
    settings = LinkConfig(
        a=LINK.a,
        b=LINK.b,
        default_delay_ms=0,
        listeners=[listener],
        socket=str(fleet.wan_socket(LINK.name)),
        kept=str(place / "kept.json"),
    )
    config.write_bytes(msgspec.json.encode(settings))
    (place / "kept.json").unlink(missing_ok=True)
    site = Site(fleet=fleet, config=config, port=port, process=None)  # type: ignore[arg-type]

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        site.accepted += 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                site.received += data
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", target)
    try:
        await site.start()
        yield site
    finally:
        await site.kill()
        server.close()


def _run(place: Path, scenario: Callable[[Site], Awaitable[None]]) -> None:
    async def main() -> None:
        async with _site(place) as site, asyncio.timeout(WAIT_S):
            await scenario(site)

    asyncio.run(main())


async def _silent(reader: asyncio.StreamReader, for_s: float = 0.4) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), for_s)


def test_bytes_pass_whole_and_in_order_and_their_ends_too(place: Path) -> None:
    async def scenario(site: Site) -> None:
        sent = os.urandom(20_000_000)
        reader, writer = await site.connect()

        async def send() -> None:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

        _, back = await asyncio.gather(send(), reader.read(-1))
        assert back == sent
        assert bytes(site.received) == sent
        assert (await site.ask()).a_to_b_bytes >= len(sent)

    _run(place, scenario)


def test_a_delay_holds_each_direction_and_not_the_throughput(place: Path) -> None:
    async def scenario(site: Site) -> None:
        await site.ask(Ask(a_to_b_delay_ms=150, b_to_a_delay_ms=50))
        reader, writer = await site.connect()
        writer.write(b"warm")
        await reader.readexactly(4)
        began = time.monotonic()
        writer.write(b"ping")
        await reader.readexactly(4)
        assert 0.19 <= time.monotonic() - began < stretched(1.0, began)
        # Forty megabytes with a round trip after each megabyte would take eight seconds.
        size, began = 40_000_000, time.monotonic()
        writer.write(b"x" * size)
        await reader.readexactly(size)
        assert time.monotonic() - began < stretched(6.0, began)

    _run(place, scenario)


def test_one_direction_is_cut_and_what_was_on_its_way_arrives_after_healing(place: Path) -> None:
    async def scenario(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        await site.ask(Ask(b_to_a_cut=Cut.SILENT))
        writer.write(b"two")
        await _silent(reader)
        assert bytes(site.received) == b"onetwo"  # this direction still flows
        await site.ask(Ask(a_to_b_cut=Cut.SILENT, b_to_a_cut=Cut.NONE))
        assert await asyncio.wait_for(reader.readexactly(3), WAIT_S) == b"two"
        writer.write(b"three")
        await _silent(reader)
        assert bytes(site.received) == b"onetwo"
        await site.ask(Ask(heal=True))
        assert await asyncio.wait_for(reader.readexactly(5), WAIT_S) == b"three"

    _run(place, scenario)


def test_a_new_connection_over_a_cut_link_opens_hears_nothing_and_reaches_nobody_until_healed(place: Path) -> None:
    async def scenario(site: Site) -> None:
        await site.ask(Ask(b_to_a_cut=Cut.SILENT))
        reader, writer = await site.connect()
        writer.write(b"hello")
        await _silent(reader)
        assert site.accepted == 0
        await site.ask(Ask(heal=True))
        assert await asyncio.wait_for(reader.readexactly(5), WAIT_S) == b"hello"

    _run(place, scenario)


def test_a_reset_ends_connections_and_refuses_new_ones(place: Path) -> None:
    async def scenario(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(b"x")
        await reader.readexactly(1)
        await site.ask(Ask(a_to_b_cut=Cut.RESET))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), WAIT_S)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            again, _ = await site.connect()
            await asyncio.wait_for(again.readexactly(1), WAIT_S)

    _run(place, scenario)


def test_a_temporary_cut_heals_by_itself(place: Path) -> None:
    async def scenario(site: Site) -> None:
        reader, writer = await site.connect()
        began = time.monotonic()
        report = await site.ask(Ask(a_to_b_cut=Cut.SILENT, b_to_a_cut=Cut.SILENT, for_s=1.0))
        assert report.reverts_in_s is not None
        writer.write(b"late")
        assert await asyncio.wait_for(reader.readexactly(4), WAIT_S) == b"late"
        assert time.monotonic() - began > 0.8
        assert (await site.ask()).reverts_in_s is None

    _run(place, scenario)


def test_a_killed_relay_comes_back_with_the_settings_it_had_and_heals_at_the_time_it_was_to(place: Path) -> None:
    async def scenario(site: Site) -> None:
        await site.ask(Ask(a_to_b_delay_ms=7))
        await site.ask(Ask(a_to_b_cut=Cut.SILENT, for_s=3.0))
        await site.kill()
        await site.start()
        report = await site.ask()
        assert report.lasting.a_to_b.delay_ms == 7

        async def healed() -> bool:
            return (await site.ask()).settings.a_to_b.cut is Cut.NONE

        await _until(healed)
        assert (await site.ask()).settings.a_to_b.delay_ms == 7

    _run(place, scenario)


def test_a_server_that_ends_the_connection_is_heard_by_the_client_and_nothing_stays_open(place: Path) -> None:
    async def scenario(site: Site) -> None:
        for _ in range(20):
            reader, writer = await site.connect()
            writer.write(b"x")
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(-1), 5) == b"x"
            writer.close()

        async def none_left() -> bool:
            return (await site.ask()).connections == 0

        await _until(none_left)

    _run(place, scenario)


def test_what_it_does_not_understand_is_refused_and_harms_nothing(place: Path) -> None:
    async def scenario(site: Site) -> None:
        reader, writer = await asyncio.open_unix_connection(str(site.fleet.wan_socket(LINK.name)))
        for line in (b"nonsense\n", b'{"a_to_b_delay_ms":-1}\n', b'{"unknown":1}\n', b'{"a_to_b_cut":"maybe"}\n'):
            writer.write(line)
            assert b'"reason"' in await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        assert (await site.ask()).settings.a_to_b.delay_ms == 0

    _run(place, scenario)
