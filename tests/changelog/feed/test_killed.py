"""A feed that is killed with SIGKILL repeats its last batch at most, and skips nothing."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from intelgraph.settings import Database
from tests.machine import WAIT_S
from tests.replication.lone import Lone, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]

KILLS = 6
IS_FOLLOWING = "select exists (select from ig.cursor where subscriber = 'writer' and not rebuilding)"


@contextlib.contextmanager
def feeding(database: Database, path: Path) -> Iterator[None]:
    """Run ``writer`` for the length of the block; then kill it."""
    given = [msgspec.json.encode(database).decode(), str(path)]
    process = subprocess.Popen([sys.executable, "-m", "tests.changelog.feed.writer", *given], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def until(condition: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while True:
        found = condition()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert time.monotonic() < deadline_s, "what was waited for did not come"
        await asyncio.sleep(0.003)


def test_a_feed_that_is_killed_repeats_its_last_batch_and_skips_nothing(alone: Tell, tmp_path: Path) -> None:
    path = tmp_path / "batches"
    path.touch()

    def batches() -> list[list[str]]:
        return [line.split() for line in path.read_text(encoding="utf-8").splitlines()]

    async def story(region: Lone) -> None:
        await region.open(1)
        database = msgspec.structs.replace(region.server.login(), database=region.database)
        with feeding(database, path):
            await until(lambda: region.ask(IS_FOLLOWING))
        written = 0
        for _ in range(KILLS):
            for _ in range(30):
                await region.append(1, upsert(f"e{written}"))
                written += 1
            enough = len(batches()) + 3
            with feeding(database, path):
                await until(lambda enough=enough: len(batches()) >= enough)  # type: ignore[misc]
        with feeding(database, path):
            await until(lambda: batches()[-1][-1] == f"e{written - 1}")

    alone(story)
    taken: list[str] = []
    last: list[str] = []
    for batch in batches():
        if batch[0] in taken:
            assert batch[0] == last[0]
            del taken[-len(last) :]
        taken += batch
        last = batch
    assert taken == [f"e{number}" for number in range(30 * KILLS)]
