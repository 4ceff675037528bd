"""Findings: what is wrong in a region, each with what to do about it. Pure; published in the region's report.

A finding repairs nothing and decides nothing. It says what a person has to know within seconds: links, slots and
subscriptions that do not work, a disk that fills, a clock that was set, placements that stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from intelgraph.changelog.links import slot_name, subscription_name
from intelgraph.control.own_database import Observed
from intelgraph.model.errors import Denied


@dataclass(frozen=True, kw_only=True)
class FindingPolicy:
    """From when on something is wrong."""

    disk_free_share_min: float = 0.05
    disk_free_bytes_min: int = 256 * 1024 * 1024
    """Less is nearly full: PostgreSQL stops when there is nothing left, and the region loses its lease."""
    clock_step_s: float = 2.0
    """Nothing is timed by the wall clock, but people and tokens are."""
    clock_apart_s: float = 5.0
    """Between two regions' wall clocks; a report is up to two seconds old."""
    link_down_s: float = 3.0
    slot_news_s: float = 600.0
    """For so long it is said that a slot was made anew: what went by is compared and reissued meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What an agent measures besides its database."""

    disk_free_bytes: int
    disk_bytes: int
    clock_stepped_s: float
    """How far the wall clock has moved against the monotonic one since the agent began."""
    clocks_apart_s: Mapping[str, float] = field(default_factory=dict)
    """By other vantage point: how far its wall clock is ahead of the one here."""


@dataclass(frozen=True, kw_only=True)
class State:
    """All that is looked at. ``links_down_s``: by peer, for how long nobody has taken what is sent there."""

    here: str
    peers: tuple[str, ...]
    own: Observed | None
    not_renewed: Denied | None
    surroundings: Surroundings
    links_down_s: Mapping[str, float]
    stands: Mapping[str, Denied]
    waiting_rows: Mapping[str, int]


def findings(state: State, policy: FindingPolicy) -> tuple[Denied, ...]:
    """List what is wrong, worst first."""
    return tuple(_all(state, policy))


def _all(state: State, policy: FindingPolicy) -> Iterator[Denied]:
    if state.not_renewed is not None:
        yield state.not_renewed
    yield from _disk(state, policy)
    if state.own is not None:
        yield from _links(state, state.own, policy)
        yield from _copies(state.own)
    yield from _clock(state, policy)
    yield from state.stands.values()
    for placement, rows in state.waiting_rows.items():
        if rows:
            yield _finding(
                "salvage_waiting",
                f"{rows} row{'' if rows == 1 else 's'} of {placement} wait{'s' if rows == 1 else ''} for a decision: "
                "see `intelgraph salvage list`, then adopt or reject",
                about=placement,
            )


def _disk(state: State, policy: FindingPolicy) -> Iterator[Denied]:
    free, total = state.surroundings.disk_free_bytes, state.surroundings.disk_bytes
    floor = min(total, max(policy.disk_free_bytes_min, int(total * policy.disk_free_share_min)))
    if free < floor:
        yield _finding(
            "disk_nearly_full",
            f"the disk of {state.here} has {free / 1e6:.0f} MB left of {total / 1e6:.0f} MB: make room, or "
            f"`intelgraph region drain {state.here}` before PostgreSQL stops",
            about=state.here,
        )


def _links(state: State, own: Observed, policy: FindingPolicy) -> Iterator[Denied]:
    for peer in state.peers:
        slot = own.links.slots.get(slot_name(state.here, peer))
        if slot is None or slot.lost:
            what = "is missing" if slot is None else "is lost: more log was to be kept than allowed"
            yield _finding(
                "slot_lost",
                f"the slot of {state.here} for {peer} {what}; the feed makes it anew, and what went by is reissued: "
                f"`intelgraph verify --wait 60` says when both are equal; is {state.here}/feed running?",
                about=peer,
            )
        elif not slot.active and state.links_down_s.get(peer, 0.0) >= policy.link_down_s:
            yield _finding(
                "link_down",
                f"{peer} takes nothing from {state.here} for {state.links_down_s[peer]:.0f} s "
                f"({(slot.kept_bytes or 0) / 1e6:.1f} MB of log are kept for it): look at the link between them "
                f"(`intelgraph wan`), at {peer}/postgres, and at its subscription {subscription_name(state.here)}",
                about=peer,
            )
        made = own.links.made.get(peer)
        if made is not None and made.times > 1 and made.s_ago < policy.slot_news_s:
            yield _finding(
                "slot_replaced",
                f"the slot of {state.here} for {peer} was gone and was made anew {made.s_ago:.0f} s ago: what was "
                f"written between is compared and reissued; `intelgraph verify --wait 60` says when both are equal",
                about=peer,
            )
        name = subscription_name(peer)
        if own.links.subscriptions.get(name) is not True:
            there = "is disabled" if name in own.links.subscriptions else "is missing"
            yield _finding(
                "subscription_disabled",
                f"the subscription {name} of {state.here} {there}: {state.here} hears nothing of {peer}; run "
                f"`ALTER SUBSCRIPTION {name} ENABLE` in {state.here}, or `intelgraph down` and `up`",
                about=peer,
            )


def _copies(own: Observed) -> Iterator[Denied]:
    for name, held in sorted(own.placements.items()):
        if held.hold is not None:
            yield _finding(
                "held",
                f"{name} is held in {own.region}: {held.hold}; it applies nothing and cannot take over until a "
                "release that knows these rows runs there",
                about=name,
            )
        if held.gap is not None:
            yield _finding(
                "gap",
                f"{name} may lack rows in {own.region}: {held.gap}; they are compared and reissued by themselves, and "
                "reads are refused until both are equal",
                about=name,
            )


def _clock(state: State, policy: FindingPolicy) -> Iterator[Denied]:
    stepped_s = state.surroundings.clock_stepped_s
    if abs(stepped_s) >= policy.clock_step_s:
        yield _finding(
            "clock_stepped",
            f"the wall clock of {state.here} was set {abs(stepped_s):.0f} s {'ahead' if stepped_s > 0 else 'back'}: "
            "leases are not timed by it, but tokens and the times shown are; look at its time service",
            about=state.here,
        )
    for other, apart_s in sorted(state.surroundings.clocks_apart_s.items()):
        if abs(apart_s) >= policy.clock_apart_s:
            yield _finding(
                "clocks_apart",
                f"the wall clock of {other} is {abs(apart_s):.0f} s {'ahead of' if apart_s > 0 else 'behind'} that of "
                f"{state.here}: one of them was set; look at the time services of both",
                about=other,
            )


def _finding(code: str, reason: str, *, about: str) -> Denied:
    return Denied(code=code, reason=reason, facts={"about": about})
