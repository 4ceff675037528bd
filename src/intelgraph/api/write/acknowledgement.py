"""Between the commit and the word "ok": what must hold before a write is acknowledged.

Guarantees: "ok" is said after the standby has flushed the write where the placement asks for that, and after the lease
was looked at again; otherwise the answer is ``unknown`` with the bookmark, never an error: the write is in the log.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import msgspec

from intelgraph.api.metrics import Metrics
from intelgraph.api.write.durability import LeaseCheck, RemoteWaiter
from intelgraph.model.errors import Fact
from intelgraph.model.placement import Durability, Placement

_EPOCH_LOOK_S = 0.25


class Appended(msgspec.Struct, kw_only=True):
    """What ``ig.append`` answers, and each step of ``ig.unlink``."""

    status: str
    bookmark: str = ""
    objects: msgspec.Raw = msgspec.Raw(b"[]")
    code: str = ""
    reason: str = ""
    facts: dict[str, Fact] = {}
    more: bool = False
    deleted: int = 0


@dataclass(frozen=True, kw_only=True)
class Acknowledged:
    """A write that is in the log. ``status``: ``ok``, ``repeated``, or ``unknown`` when it is not certain to stay."""

    status: str
    bookmark: str
    durability: str
    objects: msgspec.Raw


class Epochs(Protocol):
    """The newest epochs that this worker was told of."""

    def epoch_of(self, placement: str) -> int:
        """Return the newest epoch of a placement, 0 for one that is not known."""
        ...


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """Acknowledges the writes of one worker. ``remote_wait_s``: how long a standby may take to flush one."""

    lease: LeaseCheck
    standby: RemoteWaiter
    epochs: Epochs
    metrics: Metrics
    remote_wait_s: float

    async def of(self, placement: Placement, appended: Appended, flushed: str, until_s: float) -> Acknowledged:
        """Answer a committed write: with its outcome if that is certain by now, else ``unknown``.

        ``flushed`` is the database's flush position read after the commit: what the standby of a ``remote`` placement
        must reach.
        """
        certain = True
        if placement.durability is Durability.REMOTE and placement.standby is not None:
            began = time.monotonic()
            certain = await self._confirmed(placement, placement.standby, flushed, until_s)
            self.metrics.remote_wait.observe(time.monotonic() - began)
        certain = certain and self.lease.may_acknowledge(placement.id, placement.epoch)
        status = appended.status if certain else "unknown"
        self.metrics.appends.labels(status).inc()
        return Acknowledged(
            status=status,
            bookmark=appended.bookmark,
            durability=placement.durability.value,
            objects=appended.objects,
        )

    async def _confirmed(self, placement: Placement, standby: str, flushed: str, until_s: float) -> bool:
        """Say whether the standby has confirmed the write in time; not for longer than its epoch is the newest.

        A client that is still there at ``until_s`` is told ``unknown`` rather than nothing.

        An older epoch is acknowledged no more: its write is `unknown` by now, and the sooner it is repeated in the new
        one, where perhaps nobody need confirm it, the better.
        """
        until_s = min(until_s, time.monotonic() + self.remote_wait_s)
        while (left_s := until_s - time.monotonic()) > 0:
            if await self.standby.wait(standby, flushed, min(left_s, _EPOCH_LOOK_S)):
                return True
            if self.epochs.epoch_of(placement.id) > placement.epoch:
                break
        return False
