"""What was made for clients and not yet taken by them, in bytes: so much for all, and less for each tenant.

Answers and events that nobody reads lie in this process. Whoever would make more for a tenant that leaves so much
unread waits until some of it was taken, and no longer than ``wait_s``: other tenants read on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from intelgraph.api.policy import UnreadPolicy
from intelgraph.model.errors import TransientError, retry


class Outgoing:
    """The bytes of one worker that wait for their readers. ``on_full`` hears of each time that somebody had to wait."""

    def __init__(self, policy: UnreadPolicy) -> None:
        self.on_full: Callable[[], None] = lambda: None
        self.bytes = 0
        self._of: Counter[str] = Counter()
        self._bytes_max = policy.bytes_max
        self._bytes_of_tenant_max = policy.bytes_of_tenant_max
        self._wait_s = policy.wait_s
        self._taken: asyncio.Future[None] | None = None

    def hold(self, tenant: str, size: int) -> Callable[[], None]:
        """Count bytes that were made; return what tells, once, that they were taken or are gone."""
        if not tenant:
            return lambda: None
        self.bytes += size
        self._of[tenant] += size
        left = [size]

        def gone() -> None:
            size, left[0] = left[0], 0
            self._release(tenant, size)

        return gone

    def is_full(self, tenant: str) -> bool:
        """Whether no more should be made for a tenant now."""
        if not self.bytes:
            return False
        return self.bytes >= self._bytes_max or (bool(tenant) and self._of[tenant] >= self._bytes_of_tenant_max)

    async def room(self, tenant: str) -> None:
        """Return when there is room; refuses with ``overloaded`` after ``wait_s``."""
        if not self.is_full(tenant):
            return
        self.on_full()
        try:
            async with asyncio.timeout(self._wait_s):
                while self.is_full(tenant):
                    if self._taken is None:
                        self._taken = asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._taken)
        except TimeoutError:
            raise self._refusal(tenant) from None

    def _release(self, tenant: str, size: int) -> None:
        self.bytes -= size
        self._of[tenant] -= size
        if not self._of[tenant]:
            del self._of[tenant]
        taken, self._taken = self._taken, None
        if taken is not None and not taken.done():
            taken.set_result(None)

    def _refusal(self, tenant: str) -> TransientError:
        found = self._of[tenant]
        return retry(
            "overloaded",
            f"the read is refused: {found} bytes of answers to this tenant, and {self.bytes} to all, wait to be read "
            f"by their clients here; the limits are {self._bytes_of_tenant_max} and {self._bytes_max}",
            retry_after_s=1.0,
            unread=found,
            limit=self._bytes_of_tenant_max,
        )
