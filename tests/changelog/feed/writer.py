"""``python -m tests.changelog.feed.writer DATABASE PATH``: a subscriber that appends each batch's ids as a line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import asyncpg
import msgspec

from intelgraph.changelog.feed.host import Host
from intelgraph.changelog.feed.process import open_connection
from intelgraph.changelog.feed.subscriber import FeedRow
from intelgraph.runtime.json_log import JsonLog
from intelgraph.settings import Database, SubscriberPolicy


class Writer:
    """Takes a batch slowly enough to be killed between any two of its steps."""

    name = "writer"
    reads_bodies = True
    state = None

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def receive(self, rows: Sequence[FeedRow], database: asyncpg.Connection) -> None:
        ids = [each["id"] for row in rows if row.kind == "write" for each in json.loads(row.body or "")["objects"]]
        if ids:
            os.write(self._descriptor, (" ".join(ids) + "\n").encode())
            await asyncio.sleep(0.002)


if __name__ == "__main__":
    connect = partial(open_connection, msgspec.json.decode(sys.argv[1], type=Database))
    policy = SubscriberPolicy(rows_max=5, look_s=0.01)
    asyncio.run(Host(connect, [Writer(Path(sys.argv[2]))], policy=policy, log=JsonLog("feed")).run())
