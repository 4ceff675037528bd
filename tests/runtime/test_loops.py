"""A loop that fails is started again, and its failures are reported as often as somebody wants to read them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from intelgraph.runtime.loops import REPEAT_S, Loops


class Script:
    """A loop that ends as the script says, once a run: an error is raised, ``None`` returns."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends: Iterator[Exception | None] = iter(ends)
        self.done = asyncio.Event()

    async def __call__(self) -> None:
        try:
            end = next(self.ends)
        except StopIteration:
            self.done.set()
            await asyncio.Event().wait()
        else:
            if end is not None:
                raise end


async def reports_of(*ends: Exception | None, step_s: float = 0.0) -> list[str]:
    """What is reported of a loop that ends like this; the clock moves ``step_s`` with each failure."""
    reports: list[str] = []
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += step_s
        return now_s

    loops = Loops(
        retry_s=0.0,
        on_failure=lambda name, error: reports.append(f"{name}: {error}"),
        on_recovery=lambda name: reports.append(f"{name} works"),
        clock=clock,
    )
    script = Script(*ends)
    keeping = asyncio.create_task(loops.keep("look", script))
    await script.done.wait()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    return reports


def test_a_failure_is_reported_once_until_its_kind_changes() -> None:
    ends = [OSError("a"), OSError("b"), ValueError("c"), OSError("d")]
    assert asyncio.run(reports_of(*ends)) == ["look: a", "look: c", "look: d"]


def test_a_failure_that_lasts_is_reported_again_after_a_minute() -> None:
    ends = [OSError("a"), OSError("b"), OSError("c")]
    assert asyncio.run(reports_of(*ends, step_s=REPEAT_S / 2)) == ["look: a", "look: c"]


def test_a_loop_that_works_again_is_reported_and_so_is_its_next_failure() -> None:
    ends = [None, OSError("a"), None, None, OSError("b")]
    assert asyncio.run(reports_of(*ends)) == ["look: a", "look works", "look: b"]


def test_a_loop_is_not_kept_from_being_cancelled() -> None:
    async def story() -> bool:
        loops = Loops(retry_s=0.0, on_failure=lambda _name, _error: None)
        keeping = asyncio.create_task(loops.keep("wait", asyncio.Event().wait))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        return keeping.cancelled()

    assert asyncio.run(story())
