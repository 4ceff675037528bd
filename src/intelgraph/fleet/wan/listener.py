"""``python -m intelgraph.fleet.wan.listener --config link.json``: the relay process of one WAN link.

Listens for each region at the ports at which it reaches the other, obeys requests on a private socket (one JSON object
a line), and keeps its settings in a file, so that killing it heals nothing and cuts nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from intelgraph.fleet.wan.relay import Connection, End, Way
from intelgraph.fleet.wan.settings import Ask, Kept, Settings, change, expire, resume
from intelgraph.model.errors import IntelGraphError
from intelgraph.runtime.stop_signals import stop_event
from intelgraph.runtime.whole_file import write_whole


class Listener(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A port at which the region ``source`` reaches ``target_port`` of the other region."""

    source: str
    port: int
    target_port: int


class LinkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a relay needs to know."""

    a: str
    b: str
    default_delay_ms: float
    listeners: list[Listener]
    socket: str
    kept: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a relay answers: its settings now, the seconds until temporary ones end, and its traffic."""

    a: str
    b: str
    settings: Settings
    lasting: Settings
    reverts_in_s: float | None
    connections: int
    a_to_b_bytes: int
    b_to_a_bytes: int


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """What a relay answers to a request it does not obey."""

    code: str
    reason: str


class Relay:
    """The link of one configuration, while it runs."""

    def __init__(self, config: LinkConfig) -> None:
        self._config = config
        self._ways = {config.a: Way(), config.b: Way()}
        self._kept = resume(
            _read_kept(Path(config.kept)), default_delay_ms=config.default_delay_ms, now_unix_s=time.time()
        )
        self._reverting: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Relay until told to stop."""
        loop = asyncio.get_running_loop()
        stop = stop_event()
        self._obey(self._kept)
        async with contextlib.AsyncExitStack() as stack:
            for listener in self._config.listeners:
                server = await loop.create_server(self._accept(listener), "127.0.0.1", listener.port)
                stack.callback(server.close)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._config.socket)  # noqa: PTH108 - at the start, before anything is served
            previous = os.umask(0o077)
            control = await asyncio.start_unix_server(self._serve, self._config.socket)
            os.umask(previous)
            stack.callback(control.close)
            await stop.wait()

    def report(self) -> Report:
        """The link as it is now."""
        a, b = self._ways[self._config.a], self._ways[self._config.b]
        remaining = max(0.0, self._kept.until_unix_s - time.time()) if self._kept.temporary else None
        return Report(
            a=self._config.a,
            b=self._config.b,
            settings=self._kept.effective,
            lasting=self._kept.lasting,
            reverts_in_s=remaining,
            connections=len({pipe.connection for way in (a, b) for pipe in way.pipes}),
            a_to_b_bytes=a.bytes_passed,
            b_to_a_bytes=b.bytes_passed,
        )

    def _accept(self, listener: Listener) -> Callable[[], End]:
        other = self._config.b if listener.source == self._config.a else self._config.a
        there, back = self._ways[listener.source], self._ways[other]
        return lambda: Connection(there, back, listener.target_port).client()

    def _obey(self, kept: Kept) -> None:
        self._kept = kept
        if self._reverting is not None:
            self._reverting.cancel()
            self._reverting = None
        if kept.temporary is not None:
            remaining_s = max(0.0, kept.until_unix_s - time.time())
            self._reverting = asyncio.get_running_loop().call_later(remaining_s + 0.001, self._revert)
        self._ways[self._config.a].become(kept.effective.a_to_b)
        self._ways[self._config.b].become(kept.effective.b_to_a)
        _write_kept(Path(self._config.kept), kept)

    def _revert(self) -> None:
        # The timer ran its full length on the monotonic clock; that decides, whatever the wall clock says.
        self._obey(expire(self._kept, now_unix_s=self._kept.until_unix_s))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self._answer(line)) + b"\n")
                await writer.drain()
        writer.close()

    def _answer(self, line: bytes) -> Report | Refused:
        try:
            ask = msgspec.json.decode(line, type=Ask)
            if ask != Ask():
                self._obey(change(self._kept, ask, now_unix_s=time.time()))
        except IntelGraphError as error:
            return Refused(code=error.denied.code, reason=error.denied.reason)
        except msgspec.DecodeError as error:
            return Refused(code="bad_request", reason=f"the request is refused: {error}")
        return self.report()


def _read_kept(path: Path) -> Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError, IntelGraphError):
        return None


def _write_kept(path: Path, kept: Kept) -> None:
    """A full disk keeps no link cut and no relay from starting: then nothing is kept, and the next begins afresh."""
    try:
        write_whole(path, msgspec.json.encode(kept))
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            sys.stderr.write(f"what is asked of this link is not kept: {error}\n")


def main() -> None:
    """Run one link's relay."""
    parser = argparse.ArgumentParser(prog="intelgraph.fleet.wan.listener")
    parser.add_argument("--config", type=Path, required=True)
    config = msgspec.json.decode(parser.parse_args().config.read_bytes(), type=LinkConfig)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.stderr.write(f"relaying between {config.a} and {config.b}\n")
    uvloop.run(Relay(config).run())


if __name__ == "__main__":
    main()
