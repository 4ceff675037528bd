"""A follower in Python: aiohttp, and the last bookmark. The same few lines are in docs/graphql.md."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import aiohttp

from tests.machine import WAIT_S

PAUSE_S = 0.1


class Follower:
    """Follows ``GET /v1/changes`` on a thread of its own; its lines are those of the JavaScript programs."""

    def __init__(self, url: str, token: Path, after: str) -> None:
        self.name = "aiohttp"
        self.lines: list[dict[str, Any]] = []
        self._url, self._token, self._last = url, token, after
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(WAIT_S)

    def _run(self) -> None:
        self._task = self._loop.create_task(self._follow())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            self._loop.close()

    async def _follow(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_read=30)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                headers = {
                    "Accept": "text/event-stream",
                    "Authorization": f"Bearer {self._token.read_text().strip()}",
                    "Last-Event-ID": self._last,
                }
                try:
                    async with session.get(self._url, headers=headers) as answer:
                        if answer.status in (200, 401, 421, 503):
                            await self._take(answer)
                        else:
                            self.lines.append({"end": answer.status})
                            return
                except aiohttp.ClientError:
                    pass  # broken off: once more, behind the last bookmark
                await asyncio.sleep(PAUSE_S)

    async def _take(self, answer: aiohttp.ClientResponse) -> None:
        fields: dict[str, str] = {}
        async for raw in answer.content:
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
                continue
            if fields.get("event") == "change":
                self._last = fields["id"]
                ids = [made["id"] for made in json.loads(fields["data"])["objects"]]
                self.lines.append({"bookmark": self._last, "ids": ids})
            fields = {}
