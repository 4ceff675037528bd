"""What takes milliseconds of Python is done aside: on a thread of its own, for each tenant in turn, with rests.

A document that was seen costs next to nothing. One that was not has to be parsed, validated and perhaps refused, and a
large body has to be decoded: on the event loop nobody would be answered meanwhile. On the thread others lose
``switch_s`` at a time; and a tenant's next one waits as long again as the last one took, or nine times as long if that
was refused, within ``rest_s_min`` and ``rest_s_max``. What is known to be refused is refused in the same turn, at once.
Whoever sends documents that are known is never made to wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from intelgraph.api.policy import PlannerThreadPolicy
from intelgraph.model.errors import retry

LARGE_BYTES = 32_768

T = TypeVar("T")


@dataclass
class _Turn:
    one: asyncio.Lock = field(default_factory=asyncio.Lock)
    not_before: float = 0.0
    waiting: int = 0


class PlannerThread:
    """The turns of one worker's tenants."""

    def __init__(self, policy: PlannerThreadPolicy) -> None:
        self._policy = policy
        self._turns: dict[str, _Turn] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="aside")

    async def run(self, tenant: str, work: Callable[[], T], *, cheap: bool = False) -> T:
        """Do ``work`` in the tenant's turn, ``cheap`` work without the thread; raises what it raises.

        Refuses with ``overloaded`` when too many of the tenant's requests wait already.
        """
        policy, turn = self._policy, self._turns.get(tenant)
        if turn is None:
            turn = self._turns[tenant] = _Turn()
            self._forget()
        if turn.waiting >= policy.waiting_of_tenant_max:
            raise retry(
                "overloaded",
                f"the request is refused: {turn.waiting} of the tenant's documents wait to be looked at; the limit is "
                f"{policy.waiting_of_tenant_max}",
                retry_after_s=1.0,
            )
        turn.waiting += 1
        try:
            async with turn.one:
                pause = turn.not_before - time.monotonic()
                if pause > 0:
                    await asyncio.sleep(pause)
                began, rest_s = time.monotonic(), policy.rest_s_min
                try:
                    done = work() if cheap else await asyncio.get_running_loop().run_in_executor(self._thread, work)
                except BaseException:
                    rest_s = policy.rest_ratio_refused * (time.monotonic() - began)
                    rest_s = min(max(policy.rest_s_min, rest_s), policy.rest_s_max)
                    raise
                else:
                    took_s = time.monotonic() - began
                    rest_s = policy.rest_ratio * took_s if took_s > policy.cheap_s else 0.0
                    return done
                finally:
                    turn.not_before = time.monotonic() + rest_s
        finally:
            turn.waiting -= 1

    def _forget(self) -> None:
        if len(self._turns) > self._policy.tenants_max:
            now = time.monotonic()
            self._turns = {
                tenant: turn for tenant, turn in self._turns.items() if turn.waiting or turn.not_before > now
            }
