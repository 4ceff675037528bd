"""The way out of a site for its member of etcd: by the name asked for, to the relay of that link, and nowhere else."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelgraph.fleet.etcd.peers import PeersConfig, WayOut, greeting, wish
from intelgraph.fleet.layout.ports import free_ports
from tests.machine import WAIT_S

HELLO = b"\x05\x01\x00"
GRANTED, NOT_ALLOWED = b"\x05\x00\x00\x01\0\0\0\0\0\0", b"\x05\x02\x00\x01\0\0\0\0\0\0"
Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def asking_for(name: bytes) -> bytes:
    return b"\x05\x01\x00\x03" + bytes((len(name),)) + name + (2380).to_bytes(2, "big")


@given(cut=st.integers(0, 40), beyond=st.binary(max_size=20))
def test_a_request_is_understood_only_when_it_is_whole(cut: int, beyond: bytes) -> None:
    whole = asking_for(b"eu-west.intelgraph.invalid")
    said = (whole + beyond)[: len(whole) + len(beyond)]
    assert wish(said) == ("eu-west.intelgraph.invalid", len(whole))
    assert wish(whole[: min(cut, len(whole) - 1)]) is None


def test_what_is_not_socks_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not SOCKS 5"):
        greeting(b"GET / HTTP/1.1\r\n")
    with pytest.raises(ValueError, match="log in"):
        greeting(b"\x05\x01\x02")
    for by_address in (b"\x05\x01\x00\x01\x7f\0\0\x01\x09\x4c", b"\x05\x02\x00\x03\x01a\0\0"):
        with pytest.raises(ValueError, match="not a connection to a name"):
            wish(by_address)


@asynccontextmanager
async def leading_out(directory: Path) -> AsyncIterator[Callable[[int], Awaitable[Talk]]]:
    """Two sites' ways out as a real process; each name leads to a server that says who it is and echoes."""
    one, other, first, second = free_ports(4)

    def server(name: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(name)
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
            writer.close()

        return serve

    servers = [
        await asyncio.start_server(server(b"first"), "127.0.0.1", first),
        await asyncio.start_server(server(b"second"), "127.0.0.1", second),
    ]
    config = directory / "peers.json"
    ways = [WayOut(port=one, relays={"b.invalid": first}), WayOut(port=other, relays={"b.invalid": second})]
    config.write_bytes(msgspec.json.encode(PeersConfig(ways_out=ways)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "intelgraph.fleet.etcd.peers", "--config", str(config), stderr=asyncio.subprocess.PIPE
    )

    async def connect(way: int) -> Talk:
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    return await asyncio.open_connection("127.0.0.1", (one, other)[way])
                except OSError:
                    await asyncio.sleep(0.02)

    try:
        yield connect
    finally:
        process.terminate()
        await process.wait()
        for each in servers:
            each.close()


async def led(talk: Talk, name: bytes, *, beyond: bytes = b"") -> bytes:
    reader, writer = talk
    for byte in HELLO:
        writer.write(bytes((byte,)))
        await writer.drain()
    assert await reader.readexactly(2) == b"\x05\x00"
    writer.write(asking_for(name) + beyond)
    return await reader.readexactly(10)


def test_the_listener_says_who_asks_and_the_name_says_whom_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with asyncio.timeout(WAIT_S), leading_out(tmp_path) as connect:
            for way, told in ((0, b"first"), (1, b"second")):
                talk = await connect(way)
                assert await led(talk, b"b.invalid", beyond=b"early") == GRANTED
                assert await talk[0].readexactly(len(told + b"early")) == told + b"early"
                large = bytes(3_000_000)
                talk[1].write(large)
                assert await talk[0].readexactly(len(large)) == large
                talk[1].write_eof()
                assert await talk[0].read() == b""

    asyncio.run(story())


def test_any_other_name_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with asyncio.timeout(WAIT_S), leading_out(tmp_path) as connect:
            for name in (b"example.com", b"localhost", b"\xff\xfe", b""):
                talk = await connect(0)
                assert await led(talk, name) == NOT_ALLOWED
                assert await talk[0].read() == b""
            reader, writer = await connect(0)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert await reader.read() == NOT_ALLOWED

    asyncio.run(story())
