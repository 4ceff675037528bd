"""``python -m intelgraph.fleet.etcd.peers --config FILE``: the way out of each site for its member of etcd.

Each member has a listener of its own here and asks it, in SOCKS 5 (RFC 1928: no authentication, ``CONNECT``, a name),
for another member. The listener says who asks, the name says whom for: the connection goes to the relay of the link
between the two, which slows or cuts it. Nothing is kept or changed on the way, and any other name is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from intelgraph.fleet.wan.relay import Connection, Way
from intelgraph.runtime.stop_signals import stop_event

_VERSION, _NO_LOGIN, _CONNECT, _BY_NAME = 5, 0, 1, 3
_GREETED = bytes((_VERSION, _NO_LOGIN))
_GRANTED = bytes((_VERSION, 0, 0, 1, 0, 0, 0, 0, 0, 0))
_NOT_ALLOWED = bytes((_VERSION, 2, 0, 1, 0, 0, 0, 0, 0, 0))
_SPEAKS_WITHIN_S = 10.0


class WayOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One site's listener: the relay's port for each name that may be asked for."""

    port: int
    relays: dict[str, int]


class PeersConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every site with a member."""

    ways_out: list[WayOut]


def greeting(said: bytes) -> int | None:
    """The length of the greeting, or ``None`` while it is incomplete; ``ValueError`` if it is none of ours."""
    if said[:1] not in (b"", bytes((_VERSION,))):
        raise ValueError("not SOCKS 5")
    if len(said) < 2 or len(said) < 2 + said[1]:
        return None
    if _NO_LOGIN not in said[2 : 2 + said[1]]:
        raise ValueError("it wants to log in")
    return 2 + said[1]


def wish(said: bytes) -> tuple[str, int] | None:
    """The name asked for and the length of the request, or ``None`` while incomplete; ``ValueError`` as above."""
    if len(said) < 5:
        return None
    if (said[0], said[1], said[3]) != (_VERSION, _CONNECT, _BY_NAME):
        raise ValueError("not a connection to a name")
    length = 5 + said[4] + 2
    return (said[5 : 5 + said[4]].decode("ascii"), length) if len(said) >= length else None


class Caller(asyncio.Protocol):
    """One connection of a member, until it is known where it leads; then the relaying protocol takes its place."""

    def __init__(self, relays: dict[str, int], inside: Way) -> None:
        self._relays = relays
        self._inside = inside
        self._said = b""
        self._greeted = False
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._patience = asyncio.get_running_loop().call_later(_SPEAKS_WITHIN_S, transport.close)

    def data_received(self, data: bytes) -> None:
        self._said += data
        try:
            self._understand()
        except ValueError:  # also a name that is not ASCII
            self._refuse()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()

    def _understand(self) -> None:
        assert self._transport is not None
        if not self._greeted:
            length = greeting(self._said)
            if length is None:
                return
            self._said, self._greeted = self._said[length:], True
            self._transport.write(_GREETED)
        wished = wish(self._said)
        if wished is None:
            return
        name, length = wished
        if name not in self._relays:
            self._refuse()
            return
        self._lead(self._relays[name], self._said[length:])

    def _lead(self, port: int, beyond: bytes) -> None:
        assert self._transport is not None
        self._stop_waiting()
        # The relay decides whether anything comes through: here the answer is always yes, as a router's would be.
        self._transport.write(_GRANTED)
        end = Connection(self._inside, self._inside, port).client()
        self._transport.set_protocol(end)
        end.connection_made(self._transport)
        if beyond:
            end.data_received(beyond)

    def _refuse(self) -> None:
        if self._transport is not None:
            self._transport.write(_NOT_ALLOWED)
            self._transport.close()

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()


async def serve(config: PeersConfig) -> None:
    """Listen for every member until told to stop."""
    loop = asyncio.get_running_loop()
    stop = stop_event()
    inside = Way()
    for way in config.ways_out:
        relays = way.relays
        await loop.create_server(lambda relays=relays: Caller(relays, inside), "127.0.0.1", way.port)  # type: ignore[misc]
    await stop.wait()


def main() -> None:
    """Run the ways out of one fleet."""
    parser = argparse.ArgumentParser(prog="intelgraph.fleet.etcd.peers")
    parser.add_argument("--config", type=Path, required=True)
    config = msgspec.json.decode(parser.parse_args().config.read_bytes(), type=PeersConfig)
    sys.stderr.write(f"leading out for {len(config.ways_out)} members of etcd\n")
    uvloop.run(serve(config))


if __name__ == "__main__":
    main()
