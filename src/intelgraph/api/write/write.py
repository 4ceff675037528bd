"""``POST /v1/changes``: one request, one transaction, one answer.

The order is the promise: who and where first (``Door.admit``), then the key, then the body, and only at the home the
append. "ok" is said after the commit, after the standby has flushed it where the placement asks for that, and after
the lease was looked at again; otherwise the answer is ``unknown`` with the bookmark.

While a placement's home is changing, has no lease or does not answer, the write is held (``holding``): it is tried
again, wherever the home is by then, until its client's time is over. Trying again is safe because the key makes every
attempt the same write; what is certain after several attempts is for ``attempts`` to say. One that came by a hop is
not held: where it came in, it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from intelgraph.api.database.database import LARGE_BYTES, UNLINK
from intelgraph.api.door import Admitted, Door
from intelgraph.api.http.body import read_json
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Response
from intelgraph.api.limits.patience import LARGE_BYTES as ASIDE_BYTES
from intelgraph.api.write.appending import Append
from intelgraph.api.write.attempts import may_have_written, maybe_written, unanswered_before
from intelgraph.api.write.forward import PASSING, moved_meanwhile
from intelgraph.api.write.holding import deadline_s
from intelgraph.api.write.operations import Naming, Operations, in_changes, read_operations, renamed
from intelgraph.model.errors import Denied, Fact, PermanentError, TransientError, refuse, retry
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.routing import ForwardTo, Hold, WriteHere, route_write

_TRY_S = 2.5
_EPOCH_LOOK_S = 0.25
_REMOTE_MARGIN_S = 1.0
_ANSWER_MARGIN_S = 0.1
_KEY_LENGTH_MAX = 255
_QUOTED = re.compile(rb'"((?:[^"\\]|\\["\\])*+)"')
_ESCAPED = re.compile(rb"\\(.)")
# What the lease's holder refuses for as long as the standby is as it is: a client that knows can do something else.
_NOT_HELD = frozenset({"standby_lost", "rpo_at_risk"})
# The database's answers that mean "the directory here and the log here disagree about who writes".
_OUT_OF_STEP = frozenset({"fenced", "not_home", "unknown_placement"})


class _Appended(msgspec.Struct, kw_only=True):
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


class _Written(msgspec.Struct, kw_only=True):
    status: str
    bookmark: str
    durability: str
    objects: msgspec.Raw


_APPENDED = msgspec.json.Decoder(_Appended)


async def write_changes(door: Door, request: Request) -> Response:
    """Take a write: append it here, or hand it to its home."""
    admitted = await door.admit(request, writes=True)
    key = idempotency_key(request)
    body = await read_json(door, request, admitted.principal.tenant)

    def operations() -> Operations:
        read = read_operations(body, operations_max=door.policy.operations_max)
        if read.erases:
            admitted.principal.check_may_erase()
        return read

    outcome = await Write(
        door=door, request=request, admitted=admitted, key=key, body=body, operations=operations
    ).settle()
    return outcome if isinstance(outcome, Response) else _answer(outcome)


def _answer(outcome: Acknowledged) -> Response:
    written = _Written(
        status=outcome.status, bookmark=outcome.bookmark, durability=outcome.durability, objects=outcome.objects
    )
    return Response(
        status=202 if outcome.status == "unknown" else 200,
        body=msgspec.json.encode(written),
        headers=[(b"ig-bookmark", outcome.bookmark.encode())],
    )


@dataclass(kw_only=True)
class Write:
    """One write on its way: where it has to go may change while it is held.

    ``body`` is what a hop to the home carries; ``operations`` makes what is appended, and what a repeat of ``key`` is
    compared with, once, and only at the home.
    """

    door: Door
    request: Request
    admitted: Admitted
    key: str
    body: bytes
    operations: Callable[[], Operations]
    naming: Naming = in_changes
    """How the client knows an operation that the database refuses."""
    _operations: Operations | None = None
    _unanswered: str | None = field(init=False)
    """The region that was handed this write before and gave no answer."""

    def __post_init__(self) -> None:
        self._unanswered = unanswered_before(self.request.headers, hopped=self.request.hopped)

    async def settle(self) -> Acknowledged | Response:
        """Try until there is an answer or the client's time is over; refused for certain is only what nobody wrote."""
        try:
            return await self._settle()
        except PermanentError as error:
            if self._unanswered is None:
                raise
            raise maybe_written(error.denied, self._unanswered) from None

    async def _settle(self) -> Acknowledged | Response:
        until_s = time.monotonic() + deadline_s(self.request, self.door.policy)
        outcome = await self._attempt(self.admitted.placement, until_s)
        if not isinstance(outcome, TransientError):
            return outcome
        if self.request.hopped:
            raise outcome
        whose = self.admitted.principal.tenant
        with self.door.holding.held(self.admitted.placement.id, len(self.body), outcome, whose=whose) as held:
            while await held.wait(until_s, lambda: self.request.incoming.gone):
                outcome = await self._attempt_in_time(until_s, outcome)
                if not isinstance(outcome, TransientError):
                    held.passed()
                    return outcome
        raise outcome

    async def _attempt_in_time(
        self, until_s: float, before: TransientError
    ) -> Acknowledged | Response | TransientError:
        """Try again; what has no answer when the client's time is over goes on alone, and the key tells about it."""
        trying = asyncio.ensure_future(self._attempt_anew(until_s))
        await asyncio.wait({trying}, timeout=max(0.0, until_s - time.monotonic()) + _ANSWER_MARGIN_S)
        if trying.done():
            return trying.result()
        trying.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        reason = f"{before.denied.reason}; the last attempt has no answer yet: repeat it with the same Idempotency-Key"
        denied = Denied(code=before.denied.code, reason=reason, facts=before.denied.facts)
        return TransientError(denied, retry_after_s=before.retry_after_s)

    async def _attempt_anew(self, until_s: float) -> Acknowledged | Response | TransientError:
        return await self._attempt(await self._placement(), until_s)

    async def _placement(self) -> Placement:
        """Find the placement as it is now, or was when the control store was last heard."""
        with contextlib.suppress(TransientError):
            await self.door.directory.refresh()
        return await self.door.placement_of(self.admitted.principal)

    async def _attempt(self, placement: Placement, until_s: float) -> Acknowledged | Response | TransientError:
        """Answer the write, or return why it must be held."""
        route = route_write(region=self.door.region, placement=placement, hopped=self.request.hopped)
        if isinstance(route, Hold):
            return TransientError(route.denied, retry_after_s=1.0)
        try:
            if isinstance(route, WriteHere):
                return await self._append(placement, route.epoch, until_s)
            return await self._forward(placement, route, until_s)
        except TransientError as error:
            if may_have_written(error):
                self._unanswered = placement.home
            if error.denied.code in PASSING:
                return error
            raise

    async def _forward(self, placement: Placement, route: ForwardTo, until_s: float) -> Response:
        """Send the write to its home, for as long as that is its home and one try may last."""
        try_s = _TRY_S
        if placement.durability is Durability.REMOTE:
            try_s = max(try_s, self.door.policy.remote_wait_s + _REMOTE_MARGIN_S)
        try_s = max(0.05, min(try_s, until_s - time.monotonic()))
        trying = asyncio.ensure_future(
            self.door.forwarder.forward(
                self.request, self.body, route.home, timeout_s=try_s, unanswered=self._unanswered
            )
        )
        try:
            while not trying.done():
                await self.door.holding.news(trying)
                located = self.door.directory.cached(self.admitted.principal.tenant)
                if not trying.done() and located is not None and located.placement.home != route.home:
                    raise moved_meanwhile(route.home)
            return await trying
        finally:
            trying.cancel()

    async def _append(self, placement: Placement, epoch: int, until_s: float) -> Acknowledged | TransientError:
        # What is large is decoded, and lies here twice, only when it is its turn.
        large = self.door.database.large(self.admitted.principal.tenant) if len(self.body) > LARGE_BYTES else None
        async with large or contextlib.nullcontext():
            append = await self._prepared(placement, epoch)
            if isinstance(append, TransientError):
                return append
            raw, flushed = await self.door.appends.append(append)
        appended = _APPENDED.decode(raw)
        while appended.code == "too_many_relationships" and appended.facts["in_steps"]:
            appended = await self._unlink(append, until_s)
            if appended.status == "ok":
                raw, flushed = await self.door.appends.append(append)
                appended = _APPENDED.decode(raw)
        if appended.status == "refused":
            self.door.metrics.appends.labels("refused").inc()
            return _refusal(appended, self.naming)
        return await acknowledge(self.door, placement, appended, flushed, until_s)

    async def _prepared(self, placement: Placement, epoch: int) -> Append | TransientError:
        """Make what is appended, or say why it is not to be appended now."""
        granted = self.door.lease.grant_for(placement)
        if isinstance(granted, Denied):
            refused = TransientError(granted, retry_after_s=1.0)
            if granted.code in _NOT_HELD:
                raise refused
            return refused
        if granted.delay_s:
            await asyncio.sleep(granted.delay_s)
        self.request.is_degraded = placement.is_degraded
        tenant = self.admitted.principal.tenant
        if self._operations is None:
            self._operations = await self._decoded(tenant)
        return Append(
            placement=placement.id,
            epoch=epoch,
            tenant=tenant,
            key=self.key,
            request_hash=self._operations.fingerprint(),
            operations=self._operations,
            placed=placement.durability is Durability.REMOTE,
        )

    async def _decoded(self, tenant: str) -> Operations:
        """Make the operations; of a large body aside, since nobody would be answered meanwhile."""
        if len(self.body) < ASIDE_BYTES:
            return self.operations()
        return await self.door.patience.aside(tenant, self.operations)

    async def _unlink(self, append: Append, until_s: float) -> _Appended:
        """Delete the relationships of a request's entities in steps; return the first refusal, or that it is done."""
        step = _Appended(status="ok", more=True)
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
                await self.door.database.call(
                    UNLINK, append.placement, append.epoch, append.tenant, append.key, append.operations.body
                )
            )
            deleted += step.deleted
        return step


def _refusal(appended: _Appended, naming: Naming) -> TransientError:
    """Raise the database's refusal, or return it if it may pass by itself."""
    if appended.code in _OUT_OF_STEP:
        return TransientError(Denied(code="fenced", reason=appended.reason, facts=appended.facts), retry_after_s=1.0)
    denied = Denied(code=appended.code, reason=appended.reason, facts=appended.facts)
    if appended.code == "closing":
        return TransientError(denied, retry_after_s=1.0)
    if appended.code in ("held", "gap"):
        raise TransientError(denied, retry_after_s=1.0)
    raise renamed(PermanentError(denied), naming)


async def acknowledge(
    door: Door, placement: Placement, appended: _Appended, flushed: str, until_s: float
) -> Acknowledged:
    """Answer a committed write: with its outcome if that is certain by now, else ``unknown``.

    ``flushed`` is the database's flush position read after the commit: what the standby of a ``remote`` placement
    must reach.
    """
    certain = True
    if placement.durability is Durability.REMOTE and placement.standby is not None:
        began = time.monotonic()
        certain = await _confirmed(door, placement, flushed, until_s)
        door.metrics.remote_wait.observe(time.monotonic() - began)
    certain = certain and door.lease.may_acknowledge(placement.id, placement.epoch)
    status = appended.status if certain else "unknown"
    door.metrics.appends.labels(status).inc()
    return Acknowledged(
        status=status,
        bookmark=appended.bookmark,
        durability=placement.durability.value,
        objects=appended.objects,
    )


async def _confirmed(door: Door, placement: Placement, flushed: str, until_s: float) -> bool:
    """Say whether the standby has confirmed the write in time; not for longer than its epoch is the newest.

    A client that is still there at ``until_s`` is told ``unknown`` rather than nothing.

    An older epoch is acknowledged no more: its write is `unknown` by now, and the sooner it is repeated in the new one,
    where perhaps nobody need confirm it, the better.
    """
    assert placement.standby is not None
    until_s = min(until_s, time.monotonic() + door.policy.remote_wait_s)
    while (left_s := until_s - time.monotonic()) > 0:
        if await door.standby.wait(placement.standby, flushed, min(left_s, _EPOCH_LOOK_S)):
            return True
        if door.directory.epoch_of(placement.id) > placement.epoch:
            break
    return False


def idempotency_key(request: Request) -> str:
    """Return the request's key; refuses with ``key_required`` what ``checked_key`` does."""
    value = request.headers.get(b"idempotency-key", b"")
    return checked_key(value)


def checked_key(value: bytes) -> str:
    """Return a key's text if it is 1 to 255 visible ASCII characters; else ``key_required``.

    It may be quoted, as the IETF's draft writes it (a string of RFC 9651): the quotes are not part of it, and spaces
    may be.
    """
    key, lowest = value, 0x21
    if value.startswith(b'"'):
        quoted = _QUOTED.fullmatch(value)
        key, lowest = (_ESCAPED.sub(rb"\1", quoted[1]), 0x20) if quoted else (b"", 0x21)
    if not 1 <= len(key) <= _KEY_LENGTH_MAX or not all(lowest <= byte <= 0x7E for byte in key):
        raise refuse(
            "key_required",
            f"the request is refused: an Idempotency-Key of 1 to {_KEY_LENGTH_MAX} visible ASCII characters is needed",
            length=len(key),
            limit=_KEY_LENGTH_MAX,
        )
    return key.decode("ascii")
