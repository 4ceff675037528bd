"""The append at a placement's home: granted, decoded, in one transaction, and then acknowledged.

Guarantees: nothing is appended without a grant of the region's lease; the operations are made once, whatever becomes of
the attempt; a refusal of the database that may pass by itself is returned, not raised, so that the write can be held.
What is large is decoded aside, and in turn with what else is large.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

import msgspec

from intelgraph.api.database.database import LARGE_BYTES, UNLINK, Database
from intelgraph.api.limits.planner_thread import LARGE_BYTES as ASIDE_BYTES
from intelgraph.api.limits.planner_thread import PlannerThread
from intelgraph.api.metrics import Metrics
from intelgraph.api.write.acknowledgement import Acknowledged, Acknowledgement, Appended
from intelgraph.api.write.durability import LeaseCheck
from intelgraph.api.write.group_commit import Append, GroupCommit
from intelgraph.api.write.operations import Naming, Operations, renamed
from intelgraph.api.write.write import Write
from intelgraph.model.errors import Denied, PermanentError, TransientError, retry
from intelgraph.model.placement import Durability, Placement

# What the lease's holder refuses for as long as the standby is as it is: a client that knows can do something else.
_NOT_HELD = frozenset({"standby_lost", "rpo_at_risk"})
# The database's answers that mean "the directory here and the log here disagree about who writes".
_OUT_OF_STEP = frozenset({"fenced", "not_home", "unknown_placement"})
_APPENDED = msgspec.json.Decoder(Appended)


@dataclass(frozen=True, kw_only=True)
class Home:
    """GroupCommit the writes of one worker where this region is their home."""

    database: Database
    group_commit: GroupCommit
    lease: LeaseCheck
    planner_thread: PlannerThread
    acknowledgement: Acknowledgement
    metrics: Metrics

    async def append(
        self, write: Write, placement: Placement, epoch: int, until_s: float
    ) -> Acknowledged | TransientError:
        """Append the write in ``epoch`` and acknowledge it by ``until_s``, or return why it must be held."""
        # What is large is decoded, and lies here twice, only when it is its turn.
        large = self.database.large(write.tenant) if len(write.body) > LARGE_BYTES else None
        async with large or contextlib.nullcontext():
            append = await self._prepared(write, placement, epoch)
            if isinstance(append, TransientError):
                return append
            raw, flushed = await self.group_commit.append(append)
        appended = _APPENDED.decode(raw)
        while appended.code == "too_many_relationships" and appended.facts["in_steps"]:
            appended = await self._unlink(append, until_s)
            if appended.status == "ok":
                raw, flushed = await self.group_commit.append(append)
                appended = _APPENDED.decode(raw)
        if appended.status == "refused":
            self.metrics.appends.labels("refused").inc()
            return _refusal(appended, write.naming)
        return await self.acknowledgement.of(placement, appended, flushed, until_s)

    async def _prepared(self, write: Write, placement: Placement, epoch: int) -> Append | TransientError:
        """Make what is appended, or say why it is not to be appended now."""
        granted = self.lease.grant_for(placement)
        if isinstance(granted, Denied):
            refused = TransientError(granted, retry_after_s=1.0)
            if granted.code in _NOT_HELD:
                raise refused
            return refused
        if granted.delay_s:
            await asyncio.sleep(granted.delay_s)
        write.request.is_degraded = placement.is_degraded
        operations = write.made
        if operations is None:
            operations = write.made = await self._decoded(write)
        return Append(
            placement=placement.id,
            epoch=epoch,
            tenant=write.tenant,
            key=write.key,
            request_hash=operations.fingerprint(),
            operations=operations,
            placed=placement.durability is Durability.REMOTE,
        )

    async def _decoded(self, write: Write) -> Operations:
        """Make the operations; of a large body aside, since nobody would be answered meanwhile."""
        if len(write.body) < ASIDE_BYTES:
            return write.operations()
        return await self.planner_thread.run(write.tenant, write.operations)

    async def _unlink(self, append: Append, until_s: float) -> Appended:
        """Delete the relationships of a request's entities in steps; return the first refusal, or that it is done."""
        step = Appended(status="ok", more=True)
        deleted = 0
        while step.more:
            if time.monotonic() >= until_s:
                raise retry(
                    "removal_goes_on",
                    f"the request is not done: {deleted} relationships of its entities were deleted in this attempt, "
                    "and others are left; repeat it with the same Idempotency-Key and it goes on",
                    retry_after_s=0.0,
                    deleted=deleted,
                )
            step = _APPENDED.decode(
                await self.database.call(
                    UNLINK, append.placement, append.epoch, append.tenant, append.key, append.operations.body
                )
            )
            deleted += step.deleted
        return step


def _refusal(appended: Appended, naming: Naming) -> TransientError:
    """Raise the database's refusal, or return it if it may pass by itself."""
    if appended.code in _OUT_OF_STEP:
        return TransientError(Denied(code="fenced", reason=appended.reason, facts=appended.facts), retry_after_s=1.0)
    denied = Denied(code=appended.code, reason=appended.reason, facts=appended.facts)
    if appended.code == "closing":
        return TransientError(denied, retry_after_s=1.0)
    if appended.code in ("held", "gap"):
        raise TransientError(denied, retry_after_s=1.0)
    raise renamed(PermanentError(denied), naming)
