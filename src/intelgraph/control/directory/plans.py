"""Recorded plans: ``plans/P`` holds the plan that a placement is carrying out, or its last one, with its times.

Everything goes by compare-and-set on the version that was read, so that an action whose plan has been replaced
meanwhile changes nothing. Times are of two kinds and never mixed: wall-clock times are for people; durations are
measured by one process on its own monotonic clock, and are absent when it did not live through them. What an action
does is not written here (``control.acting``), nor which plan is made (``placement``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from intelgraph.control.directory.placements import PLACEMENTS, PlacementRecord, encode_placement
from intelgraph.control.store.keys import LEASES, PLANS
from intelgraph.control.store.protocol import ABSENT, ControlStore, Entry
from intelgraph.model.actor import Actor
from intelgraph.model.errors import refuse
from intelgraph.placement.plan import Kind, Plan

PAST_MAX = 20
"""How many finished plans of a placement are remembered."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """When what was done (wall clock, RFC 3339), and how long it took (seconds of one monotonic clock)."""

    decided_at: str
    decided_by: str
    """``command line`` for an operator, or the region whose agent decided."""
    actor: Actor | None = None
    """The operator who asked for it; none of what an agent decided by itself."""
    raised_at: str | None = None
    opened_at: str | None = None
    finished_at: str | None = None
    behind_s: float | None = None
    """How far the target was behind when this was decided: what may be lost, in seconds (RPO)."""
    lost_s: float | None = None
    """For how long the home had been silent when this was decided."""
    took_s: float | None = None
    """From then until writes were open, if one process lived through it all."""

    @property
    def rto_s(self) -> float | None:
        """From the home's last sign of life until writes were open elsewhere."""
        return None if self.lost_s is None or self.took_s is None else self.lost_s + self.took_s


@dataclass(frozen=True, kw_only=True)
class Past:
    """A plan that is over, in a few words."""

    id: str
    kind: Kind
    source: str
    target: str
    epoch: int
    times: Times
    given_up: str | None = None
    """Why it was abandoned or overtaken; ``None``: it was carried out."""


@dataclass(frozen=True, kw_only=True)
class PlanRecord:
    """What ``plans/P`` holds, and the version it was read at. ``plan`` is absent before the first."""

    placement: str
    version: int = ABSENT
    plan: Plan | None = None
    times: Times | None = None
    past: tuple[Past, ...] = field(default=())


class _Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    plan: Plan
    times: Times
    past: tuple[Past, ...] = ()


def wall_now() -> str:
    """The wall clock's time, for people."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plan_from(entry: Entry) -> PlanRecord:
    """Read a plan's entry; refuses what is no plan with ``bad_plan``."""
    placement = entry.key.removeprefix(PLANS)
    if entry.value is None:
        return PlanRecord(placement=placement)
    try:
        value = msgspec.json.decode(entry.value, type=_Value)
    except (msgspec.DecodeError, ValueError) as error:
        raise refuse("bad_plan", f"the control store's entry {entry.key} is not a plan: {error}") from error
    return PlanRecord(placement=placement, version=entry.version, plan=value.plan, times=value.times, past=value.past)


async def read_plan(store: ControlStore, placement: str) -> PlanRecord:
    """Read one placement's plan."""
    key = PLANS + placement
    return plan_from((await store.read([key])).entries[key])


def what_became_of(wanted: PlanRecord, now: PlanRecord) -> PlanRecord:
    """Return the record of ``wanted``'s plan as it is now, although another may have been recorded since.

    Refuses with ``plan_replaced`` a plan that was given up or overtaken, and one that is remembered no longer.
    """
    plan = wanted.plan
    if plan is None or (now.plan is not None and now.plan.id == plan.id):
        return now
    over = next((each for each in reversed(now.past) if each.id == plan.id), None)
    if over is None:
        raise refuse(
            "plan_replaced",
            f"it is not known what became of plan {plan.id}: only the last {PAST_MAX} plans of {wanted.placement} are "
            "remembered; see `intelgraph status`",
            plan=plan.id,
        )
    if over.given_up is not None:
        raise refuse(
            "plan_replaced",
            f"plan {plan.id} was not carried out: {over.given_up}; see `intelgraph status`",
            plan=plan.id,
        )
    return replace(now, plan=replace(plan, next=len(plan.actions)), times=over.times)


async def record(store: ControlStore, placement: PlacementRecord, before: PlanRecord, plan: Plan, times: Times) -> bool:
    """Record ``plan`` in the place of what was read; returns whether that, and the placement, were still the same."""
    past = before.past
    if before.plan is not None and before.times is not None:
        past = (*past, _past(before.plan, before.times, overtaken_by=plan.id))[-PAST_MAX:]
    key = PLANS + before.placement
    value = msgspec.json.encode(_Value(plan=plan, times=times, past=past))
    expected = {key: before.version, PLACEMENTS + before.placement: placement.version}
    return await store.compare_and_set(expected=expected, writes={key: value})


async def move(
    store: ControlStore, before: PlanRecord, plan: Plan, times: Times, *, raises: PlacementRecord | None = None
) -> bool:
    """Record that ``plan`` has got on; returns whether it stood as it was read.

    ``raises``: the placement as it was read, which the same compare-and-set replaces by the plan's ``after``, if the
    lease that the plan watched has not moved. Everything of it happens, or nothing.
    """
    key = PLANS + before.placement
    expected = {key: before.version}
    writes: dict[str, bytes | None] = {key: msgspec.json.encode(_Value(plan=plan, times=times, past=before.past))}
    if raises is not None:
        placement = PLACEMENTS + before.placement
        expected[placement] = raises.version
        writes[placement] = encode_placement(plan.after, raises.digest_key)
        if plan.lease_version is not None:
            expected[LEASES + plan.source] = plan.lease_version
    return await store.compare_and_set(expected=expected, writes=writes)


def finished(times: Times) -> Times:
    """Return the times of a plan that is done now."""
    return replace(times, finished_at=wall_now())


def _past(plan: Plan, times: Times, *, overtaken_by: str) -> Past:
    given_up = plan.abandoned.reason if plan.abandoned is not None else None
    if given_up is None and plan.turn is not None:
        given_up = f"plan {overtaken_by} took its place"
    return Past(
        id=plan.id,
        kind=plan.kind,
        source=plan.source,
        target=plan.target,
        epoch=plan.after.epoch,
        times=times,
        given_up=given_up,
    )
