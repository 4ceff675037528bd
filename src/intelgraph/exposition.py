"""``python -m intelgraph.exposition``: answers ``GET /metrics`` in a process beside the one that is measured.

Guarantees: whoever asks, however often, costs the measured process nothing but what it writes down anyway: files that
workers count in (``--files``), or a text that a process sends down this one's standard input every second. Connections
are bounded in number and in time, requests that come together are answered by one reckoning, there are no more than
ten of those in a second, and this process yields to others. It ends when its standard input does: with its maker.

Only the standard library is imported here, and Prometheus's client where it has to add files up. What is counted does
not belong here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

CONNECTIONS_MAX = 16
HEAD_BYTES_MAX = 8_192
HEAD_S = 2.0
SEND_S = 10.0
SEND_EVERY_S = 1.0
SETTLE_S = 0.1
"""Whoever asks hears what was counted until then: workers write every 0.05 s."""
STALE_S = 10.0
"""A text that was sent longer ago is not told: absent numbers raise an alert, old ones hide one."""
_AGAIN_S = 0.25
_NICE = 10
_LENGTH = struct.Struct("!I")
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_TEXT = "text/plain; version=0.0.4; charset=utf-8"

Source = Callable[[], bytes | None]
"""Returns the numbers as they are now; nothing where nobody can say."""


def frame(text: bytes) -> bytes:
    """Return how a text is sent down the standard input."""
    return _LENGTH.pack(len(text)) + text


class Exposition:
    """Answers with what ``source`` returns."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._open = 0
        self._reckoning: asyncio.Task[bytes | None] | None = None

    async def serve(self, host: str, port: int) -> None:
        """Answer until cancelled; a port that is not free yet is waited for."""
        told = False
        while True:
            try:
                server = await asyncio.start_server(self._serve, host, port, limit=HEAD_BYTES_MAX)
            except OSError as error:
                if not told:
                    sys.stderr.write(f"the metrics' port {port} is waited for: {error}\n")
                told = True
                await asyncio.sleep(_AGAIN_S)
            else:
                break
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._open += 1
        try:
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            status, body = await self._answer(head)
            writer.write(_written(status, body, bodiless=head.startswith(b"HEAD ")))
            async with asyncio.timeout(SEND_S):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # who asks so is not answered
        finally:
            self._open -= 1
            writer.transport.abort()

    async def _answer(self, head: bytes) -> tuple[int, bytes]:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if not rest.endswith((b" HTTP/1.1", b" HTTP/1.0")):
            return 400, b"the request is refused: it is not well-formed HTTP\n"
        if path != b"/metrics":
            return 404, b"there is nothing at this path; the numbers are at /metrics\n"
        if method not in (b"GET", b"HEAD"):
            return 405, b"the method is refused: /metrics takes GET and HEAD\n"
        if self._reckoning is None:
            self._reckoning = asyncio.create_task(self._reckon())
        text = await asyncio.shield(self._reckoning)
        if text is None:
            return 503, f"the process that is measured has sent no numbers for {STALE_S:g} s\n".encode()
        return 200, text

    async def _reckon(self) -> bytes | None:
        await asyncio.sleep(SETTLE_S)
        self._reckoning = None  # who comes from here on may ask for later numbers
        return self._source()


def _written(status: int, body: bytes, *, bodiless: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: {_TEXT}\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if bodiless else body)


class _Sent:
    """The text that came down the standard input last."""

    def __init__(self) -> None:
        self._text: bytes | None = None
        self._came_at = float("-inf")

    def source(self) -> bytes | None:
        return self._text if time.monotonic() - self._came_at <= STALE_S else None

    async def read(self, stdin: asyncio.StreamReader) -> None:
        """Take texts in until the sender ends."""
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                (length,) = _LENGTH.unpack(await stdin.readexactly(_LENGTH.size))
                self._text = await stdin.readexactly(length)
                self._came_at = time.monotonic()


def _source_of_files(directory: str) -> Source:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    def source() -> bytes:
        # What a worker that was killed had open is open no more.
        for left_over in Path(directory).glob("gauge_live*_*.db"):
            if not Path("/proc", left_over.stem.rpartition("_")[2]).exists():
                left_over.unlink(missing_ok=True)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    return source


async def _run(host: str, port: int, files: str | None) -> None:
    stdin = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin.buffer)
    sent = _Sent()
    source = _source_of_files(files) if files else sent.source
    os.nice(_NICE)  # not before: on a busy machine it would be ready long after the process that it answers for
    serving = asyncio.create_task(Exposition(source).serve(host, port))
    reading = asyncio.create_task(sent.read(stdin))
    await asyncio.wait({serving, reading}, return_when=asyncio.FIRST_COMPLETED)


def command(host: str, port: int, *, files: str | None = None) -> tuple[str, ...]:
    """Return the command line of such a process."""
    given = ("--host", host, "--port", str(port), *(("--files", files) if files else ()))
    return (sys.executable, "-m", "intelgraph.exposition", *given)


async def serve_beside(source: Callable[[], bytes], *, host: str, port: int) -> None:
    """Have ``GET /metrics`` answered until cancelled, by a process that is sent ``source()`` every second."""
    while True:
        process = await asyncio.create_subprocess_exec(*command(host, port), stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        try:
            while process.returncode is None:
                # What it has not read yet is not added to: a process that is stopped costs this one nothing.
                if not process.stdin.transport.get_write_buffer_size():
                    process.stdin.write(frame(source()))
                await asyncio.sleep(SEND_EVERY_S)
        finally:
            process.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def main() -> None:
    """Parse the arguments and answer until the standard input ends."""
    parser = argparse.ArgumentParser(description="Answer GET /metrics for the process that started this one.")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--files", help="the directory in which workers count; without it, texts come by stdin")
    given = parser.parse_args()
    asyncio.run(_run(given.host, given.port, given.files))
    os._exit(0)


if __name__ == "__main__":
    main()
