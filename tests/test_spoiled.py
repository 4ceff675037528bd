"""A spoiled control store is unreadable and is what it was before when it is over; readers live through both."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import TransientError
from tests.spoiled import spoiled


def test_a_reader_that_has_it_open_is_refused_and_finds_everything_again(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteControlStore(tmp_path / "control.db")
        try:
            assert await store.compare_and_set(expected={"a": 0}, writes={"a": b"1"})
            for _ in range(20):
                with spoiled(tmp_path / "control.db"), pytest.raises(TransientError):
                    await store.read(["a"])
                assert (await store.read(["a"])).entries["a"].value == b"1"
        finally:
            await store.close()

    asyncio.run(body())
