"""What a worker has a bounded amount of, with a share for each tenant: open streams, bodies that are still arriving.

Guarantees: what was taken is given back once, by the one scope that owns it: a ``with`` block, or the request itself
(``Request.at_end``), however that ends; no tenant holds more than its share. RESIDENCY: what is reported of a quota
names no tenant.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from intelgraph.api.limits.shares import OF_TENANT, Full, Shares
from intelgraph.model.errors import TransientError, retry

REPORTED_S = 10.0
"""For so long after a refusal the quota is reported as used up."""


class Quota:
    """One bounded thing; ``name`` is its plural, such as ``streams``.

    ``on_change`` hears how much is in use, ``on_refusal`` of each refusal.
    """

    def __init__(
        self,
        name: str,
        *,
        limit: int,
        limit_of_tenant: int,
        on_change: Callable[[int], None] = lambda _: None,
        on_refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._limit = limit
        self._limit_of_tenant = limit_of_tenant
        self._on_change = on_change
        self._on_refusal = on_refusal
        self._shares = Shares(most=limit, each=limit_of_tenant)
        self._refused_at = float("-inf")

    @property
    def used(self) -> int:
        """How much is in use in this process."""
        return self._shares.taken

    def hold(self, tenant: str, *, retry_after_s: float = 1.0) -> Held:
        """Return what a tenant holds of it from now on: nothing yet."""
        return Held(self, tenant, retry_after_s)

    def why_used_up(self) -> str | None:
        """Say that somebody was refused lately, if so."""
        if time.monotonic() - self._refused_at > REPORTED_S:
            return None
        return (
            f"{self._name} were refused in the last {REPORTED_S:g} s: {self.used} are in use in this process; the "
            f"limits are {self._limit}, and {self._limit_of_tenant} of one tenant"
        )

    def take(self, tenant: str, amount: int, retry_after_s: float) -> None:
        """Count ``amount`` as taken, or refuse with ``overloaded``. For ``Held`` alone."""
        full = self._shares.take(tenant, amount)
        if full is not None:
            raise self._refusal(full, retry_after_s)
        self._on_change(self.used)

    def give_back(self, tenant: str, amount: int) -> None:
        """Count ``amount`` as free again. For ``Held`` alone."""
        self._shares.give(tenant, amount)
        self._on_change(self.used)

    def _refusal(self, full: Full, retry_after_s: float) -> TransientError:
        self._refused_at = time.monotonic()
        self._on_refusal()
        whose = "of this tenant in this process" if full.whose == OF_TENANT else "in this process"
        return retry(
            "overloaded",
            f"the request is refused: {full.found} {self._name} are in use {whose}; the limit is {full.limit}",
            retry_after_s=retry_after_s,
            open=full.found,
            limit=full.limit,
        )


class Held:
    """What one owner holds of a quota for a tenant; as a ``with`` block it gives back at the end."""

    __slots__ = ("_amount", "_quota", "_retry_after_s", "_tenant")

    def __init__(self, quota: Quota, tenant: str, retry_after_s: float) -> None:
        self._quota, self._tenant, self._retry_after_s = quota, tenant, retry_after_s
        self._amount = 0

    def take(self, amount: int = 1) -> None:
        """Take so much more; refuses with ``overloaded`` when the worker or the tenant has no more."""
        self._quota.take(self._tenant, amount, self._retry_after_s)
        self._amount += amount

    def give_back(self) -> None:
        """Give back all of it; nothing if that was done already."""
        amount, self._amount = self._amount, 0
        if amount:
            self._quota.give_back(self._tenant, amount)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.give_back()


class ConnectionLoad:
    """How many connections a worker has, and since when it last had no room for another."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._refused_at = float("-inf")
        self._open = 0

    def report(self, open_now: int, refused: int) -> None:
        """Take in what the connections were at the last look, and how many were refused since the one before."""
        self._open = open_now
        if refused:
            self._refused_at = time.monotonic()

    def why_used_up(self) -> str | None:
        """Say that connections were refused lately, if so."""
        if time.monotonic() - self._refused_at > REPORTED_S:
            return None
        return (
            f"connections were refused in the last {REPORTED_S:g} s: {self._open} are open in this process; the limit "
            f"is {self._limit}"
        )
