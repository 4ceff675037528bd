"""A region's database that is lost in the middle of an operation is a refusal, as one that never answered is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from intelgraph.model.errors import TransientError
from intelgraph.operations import compaction, placements, salvage, verification
from intelgraph.operations.operator import Operator
from intelgraph.operations.salvage import show_waiting

from .sites import BOTH, EU, agents_of, operator_of, site_of

LOST = [TimeoutError(), ConnectionResetError(104, "reset"), asyncpg.ConnectionDoesNotExistError("closed")]
Work = Callable[[Operator], Coroutine[Any, Any, object]]
WORK: dict[str, Work] = {
    "verify": lambda operator: verification.verify(operator),
    "compact": lambda operator: compaction.compact(operator, "both", dry_run=True),
    "salvage": lambda operator: show_waiting(operator, "both", (EU, 1, 1)),
    "remove-region": lambda operator: placements.remove_region(operator, "both", EU),
}


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", WORK)
def test_a_database_that_is_lost_meanwhile_is_told_in_a_sentence(
    name: str, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise error

    async def changed(_operator: object, record: Any, _following: object) -> object:
        return SimpleNamespace(record=record)

    @asynccontextmanager
    async def connected(*_: object, **__: object) -> AsyncIterator[object]:
        yield SimpleNamespace(fetchval=fails, fetch=fails)

    for module in (verification, compaction, placements, salvage):
        monkeypatch.setattr(module, "owner_connection", connected)
    monkeypatch.setattr(placements, "change", changed)
    monkeypatch.setattr(verification, "compare", fails)
    monkeypatch.setattr(salvage, "beyond", fails)
    site = site_of(tmp_path)

    async def body() -> None:
        async with agents_of(site, BOTH):
            with pytest.raises(TransientError) as refused:
                await WORK[name](operator_of(site))
        assert refused.value.denied.code == "database_failed"

    asyncio.run(body())
