"""Recorded plans: ``plans/S`` holds the plan that a subject is carrying out, or its last one, with its times.

The I/O half of ``plans``, for every kind. A subject is a placement's name; that of another family of kinds has its
family's name before a slash. Everything goes by compare-and-set on the version that was read, so that an action whose
plan has been replaced meanwhile changes nothing; and no plan is recorded that does not follow from the one before, so
none ever moves back. Times are of two kinds and never mixed: wall-clock times are for people; durations are measured
by one process on its own monotonic clock, and are absent when it did not live through them. What an action does is not
written here (``control.plans``), nor which plan is made (``placement``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from intelgraph.control.directory.placements import PLACEMENTS, PlacementRecord, encode_placement
from intelgraph.control.store.keys import PLANS
from intelgraph.control.store.protocol import ABSENT, ControlStore, Entry
from intelgraph.model.actor import Actor
from intelgraph.model.errors import refuse
from intelgraph.model.placement import Placement
from intelgraph.placement.plan import Plan
from intelgraph.plans.plan import RecordedPlan
from intelgraph.plans.policy import PlanPolicy
from intelgraph.plans.states import Event, IllegalEvent, following

P = TypeVar("P", bound=RecordedPlan)
POLICY = PlanPolicy()


@dataclass(frozen=True, kw_only=True)
class Times:
    """When what was done (wall clock, RFC 3339), and how long it took (seconds of one monotonic clock)."""

    decided_at: str
    decided_by: str
    """``command line`` for an operator, or the region whose agent decided."""
    actor: Actor | None = None
    """The operator who asked for it; none of what an agent decided by itself."""
    done_at: Mapping[str, str] = field(default_factory=dict)
    """By action."""
    finished_at: str | None = None
    behind_s: float | None = None
    """How far the target was behind when this was decided: what may be lost, in seconds (RPO)."""
    lost_s: float | None = None
    """For how long the home had been silent when this was decided."""
    took_s: float | None = None
    """From then until the plan was done, if one process lived through it all."""

    @property
    def rto_s(self) -> float | None:
        """From the home's last sign of life until writes were open elsewhere."""
        return None if self.lost_s is None or self.took_s is None else self.lost_s + self.took_s


@dataclass(frozen=True, kw_only=True)
class Past:
    """A plan that is over, in a few words."""

    id: str
    kind: str
    summary: str
    times: Times
    given_up: str | None = None
    """Why it was given up or replaced; ``None``: it was carried out."""


@dataclass(frozen=True, kw_only=True)
class Record(Generic[P]):
    """What ``plans/S`` holds, and the version it was read at. ``plan`` is absent before the first."""

    subject: str
    version: int = ABSENT
    plan: P | None = None
    times: Times | None = None
    past: tuple[Past, ...] = field(default=())

    @property
    def key(self) -> str:
        """The key that holds it."""
        return PLANS + self.subject


PlanRecord = Record[Plan]
"""The record of a placement's plans."""


class _Rest(msgspec.Struct, frozen=True, kw_only=True):
    plan: msgspec.Raw
    times: Times
    past: tuple[Past, ...] = ()


class _Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    plan: RecordedPlan
    times: Times
    past: tuple[Past, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What belongs into the same compare-and-set as a plan's move: all of it happens, or nothing."""

    expected: Mapping[str, int] = field(default_factory=dict)
    """By key: the version that it must still have."""
    writes: Mapping[str, bytes | None] = field(default_factory=dict)


def unchanged(placement: PlacementRecord) -> Joined:
    """What a placement's plan is recorded with: the placement is still as it was read."""
    return Joined(expected={PLACEMENTS + placement.placement.id: placement.version})


def changing(placement: PlacementRecord, after: Placement) -> Joined:
    """What a placement's plan is moved with when the placement, as it was read, becomes ``after``."""
    writes = {PLACEMENTS + after.id: encode_placement(after, placement.digest_key)}
    return Joined(expected=unchanged(placement).expected, writes=writes)


def wall_now() -> str:
    """The wall clock's time, for people."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record_from(entry: Entry, of: type[P]) -> Record[P]:
    """Read the entry of a subject whose plans are ``of`` a class; refuses another's with ``bad_plan``."""
    subject = entry.key.removeprefix(PLANS)
    if entry.value is None:
        return Record(subject=subject)
    try:
        rest = msgspec.json.decode(entry.value, type=_Rest)
        plan = msgspec.json.decode(rest.plan, type=of)
    except (msgspec.DecodeError, ValueError) as error:
        raise refuse("bad_plan", f"the control store's entry {entry.key} is not a plan: {error}") from error
    return Record(subject=subject, version=entry.version, plan=plan, times=rest.times, past=rest.past)


def plan_from(entry: Entry) -> PlanRecord:
    """Read the entry of a placement's plan; refuses what is no plan with ``bad_plan``."""
    return record_from(entry, Plan)


async def read_record(store: ControlStore, subject: str, of: type[P]) -> Record[P]:
    """Read the plan of a subject whose plans are ``of`` a class."""
    key = PLANS + subject
    return record_from((await store.read([key])).entries[key], of)


async def read_plan(store: ControlStore, placement: str) -> PlanRecord:
    """Read one placement's plan."""
    return await read_record(store, placement, Plan)


def what_became_of(wanted: Record[P], now: Record[P]) -> Record[P]:
    """Return the record of ``wanted``'s plan as it is now, although another may have been recorded since.

    Refuses with ``plan_replaced`` a plan that was given up or replaced, and one that is remembered no longer.
    """
    plan = wanted.plan
    if plan is None or (now.plan is not None and now.plan.id == plan.id):
        return now
    over = next((each for each in reversed(now.past) if each.id == plan.id), None)
    if over is None:
        raise refuse(
            "plan_replaced",
            f"it is not known what became of plan {plan.id}: only the last {POLICY.past_max} plans of "
            f"{wanted.subject} are remembered; see `intelgraph status`",
            plan=plan.id,
        )
    if over.given_up is not None:
        raise refuse(
            "plan_replaced",
            f"plan {plan.id} was not carried out: {over.given_up}; see `intelgraph status`",
            plan=plan.id,
        )
    return replace(now, plan=replace(plan, next=len(plan.actions)), times=over.times)


async def record(store: ControlStore, before: Record[P], plan: P, times: Times, joined: Joined) -> bool:
    """Record a new plan in the place of what was read; returns whether that, and what is ``joined``, was the same."""
    past = before.past
    if before.plan is not None and before.times is not None:
        past = (*past, _past(before.plan, before.times, replaced_by=plan.id))[-POLICY.past_max :]
    return await _write(store, before, _Value(plan=plan, times=times, past=past), joined)


async def move(store: ControlStore, before: Record[P], plan: P, times: Times, joined: Joined | None = None) -> bool:
    """Record that a plan has got on or is given up; returns whether it and what is ``joined`` were as they were read.

    Raises ``IllegalEvent`` for a plan that does not follow from the one that was read.
    """
    if before.plan is None or not plan.follows(before.plan):
        raise IllegalEvent(f"plan {plan.id} does not follow from what is recorded of {before.subject}")
    return await _write(store, before, _Value(plan=plan, times=times, past=before.past), joined or Joined())


async def _write(store: ControlStore, before: Record[P], value: _Value, joined: Joined) -> bool:
    return await store.compare_and_set(
        expected={**joined.expected, before.key: before.version},
        writes={**joined.writes, before.key: msgspec.json.encode(value)},
    )


def _past(plan: RecordedPlan, times: Times, *, replaced_by: str) -> Past:
    given_up = plan.abandoned.reason if plan.abandoned is not None else None
    if given_up is None and plan.current is not None:
        following(plan.state, Event.REPLACE)
        given_up = f"plan {replaced_by} took its place"
    return Past(id=plan.id, kind=plan.kind.value, summary=plan.summary, times=times, given_up=given_up)
