"""Findings: what is wrong in a region, each with what to do about it. Pure; published in the region's report.

A finding repairs nothing and decides nothing. It says what a person has to know within seconds: writes that fail,
links, slots and subscriptions that do not work, a disk that fills, a clock that was set, placements that stand. Each
names what it is about (``about``: a region or a placement) and lasts as long as what it says. A cause is said, and not
what follows from it: a region whose disk is full takes nothing from the others, and that is no matter of links.

Findings count: a fleet that has some is not ready. Only ``NOTICES`` do not: they say what is being dealt with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from intelgraph.changelog.links import slot_name, subscription_name
from intelgraph.control.agent.observer.own_database import Observed, transaction_text
from intelgraph.model.errors import Denied

NOTICES = frozenset({"slot_replaced", "salvage_waiting", "catching_up", "gathering", "moved_lately", "used_up"})
CAUSES = frozenset({"disk_full", "disk_nearly_full", "database_unavailable"})
"""Of a region that reports one of these it is said once, there, that it takes nothing from the others."""


def about(finding: Denied) -> str:
    """What a finding is about: a placement, or a region."""
    return str(finding.facts.get("about", finding.facts.get("placement", "")))


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
    clock_news_s: float = 600.0
    """For so long it is said that a clock was set, unless most others agree with it before."""
    transaction_s: float = 3.0
    """How old a transaction may become that the feed waits for: with the look and the report it is said within 5 s."""
    feed_silent_s: float = 5.0
    unknown_s: float = 5.0
    """For how long a placement may be open here before the control store has it: it is read once a second."""
    slot_news_s: float = 600.0
    """For so long it is said that a slot was made anew: what went by is compared and reissued meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What an agent measures besides its database."""

    disk_free_bytes: int
    disk_bytes: int
    clock_stepped_s: float
    """How far the wall clock was set when it was set last, against the monotonic one."""
    clock_stepped_s_ago: float = 0.0
    clock_ahead_s: float | None = None
    """How far it is ahead of what most say; none: that cannot be told."""
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
    peers_down_s: Mapping[str, float] = field(default_factory=dict)
    """By peer whose lease is over: for how long it has stood still."""
    peers_causes: Mapping[str, str] = field(default_factory=dict)
    """By peer: which of ``CAUSES`` it reports of itself."""
    writing: Sequence[Denied] = ()
    """What is wrong with writing here, of the region as a whole."""
    refusals: Mapping[str, Denied] = field(default_factory=dict)
    """By placement of this region's: why it takes no writes, although the lease lasts."""
    feed_silent_s: float = 0.0
    """For how long no feed has been at work here, or the one that is has asked nothing."""
    unknown_s: Mapping[str, float] = field(default_factory=dict)
    """By placement that this region holds and the control store does not have: for how long."""


def findings(state: State, policy: FindingPolicy) -> tuple[Denied, ...]:
    """List what is wrong, causes before what follows from them; each once."""
    found = {(each.code, about(each)): each for each in _all(state, policy)}
    return tuple(found.values())


def _all(state: State, policy: FindingPolicy) -> Iterator[Denied]:
    if state.not_renewed is not None:
        yield _of(state.not_renewed, state.here)
    yield from _disk(state, policy)
    yield from state.writing
    if state.own is not None:
        yield from _feed(state, policy)
        yield from _unknown(state, state.own, policy)
        yield from _transaction(state, state.own, policy)
        yield from _links(state, state.own, policy)
        yield from _copies(state.own)
    yield from _clock(state, policy)
    refusals = {each.code for each in state.refusals.values()}
    yield from (_of(each, name) for name, each in state.refusals.items())
    yield from (_of(each, name) for name, each in state.stands.items() if each.code not in refusals)
    for placement, rows in state.waiting_rows.items():
        if rows:
            yield _finding(
                "salvage_waiting",
                f"{rows} row{'' if rows == 1 else 's'} of {placement} wait{'s' if rows == 1 else ''} for a decision: "
                "see `intelgraph salvage list`, then adopt or reject",
                about=placement,
            )


def _of(denied: Denied, what: str) -> Denied:
    """The same, naming what it is about."""
    return denied if about(denied) else replace(denied, facts={**denied.facts, "about": what})


def _feed(state: State, policy: FindingPolicy) -> Iterator[Denied]:
    if state.feed_silent_s >= policy.feed_silent_s:
        yield _finding(
            "feed_silent",
            f"the feed of {state.here} has done nothing for {state.feed_silent_s:.0f} s: streams and pages of changes "
            f"stand there, and other regions do not learn how fresh they are; `intelgraph restart {state.here}/feed`",
            about=state.here,
        )


def _unknown(state: State, own: Observed, policy: FindingPolicy) -> Iterator[Denied]:
    """The control store was lost or replaced: what it does not have takes no writes, and nobody takes it over."""
    for name, since_s in sorted(state.unknown_s.items()):
        if since_s >= policy.unknown_s and name in own.placements:
            yield _finding(
                "unknown_placement",
                f"{own.region} holds {name} in epoch {own.placements[name].epoch}, and the control store does not have "
                "it: it takes no writes; put back the control store's data as it was before it was lost",
                about=name,
            )


def _transaction(state: State, own: Observed, policy: FindingPolicy) -> Iterator[Denied]:
    """A session that may hold positions and does not end: what arrived after it is shown to nobody."""
    if own.oldest is not None and own.oldest.age_s >= policy.transaction_s:
        yield _finding("transaction_open", transaction_text(own.oldest, state.here), about=state.here)


def _is_full(state: State, policy: FindingPolicy) -> bool:
    free, total = state.surroundings.disk_free_bytes, state.surroundings.disk_bytes
    return free < min(total, max(policy.disk_free_bytes_min, int(total * policy.disk_free_share_min)))


def _disk(state: State, policy: FindingPolicy) -> Iterator[Denied]:
    free, total = state.surroundings.disk_free_bytes, state.surroundings.disk_bytes
    if state.not_renewed is not None and state.not_renewed.code == "disk_full":
        return  # that says it
    if _is_full(state, policy):
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
        elif not slot.active and peer in state.peers_down_s:
            yield _finding(
                "region_down",
                f"{peer} is down, or cut off: its lease has stood still for {state.peers_down_s[peer]:.0f} s; "
                f"{(slot.kept_bytes or 0) / 1e6:.1f} MB of log are kept for it in {state.here}",
                about=peer,
            )
        elif peer in state.peers_causes or _is_full(state, policy):
            pass  # that is why nothing is taken, and it is said
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
    around = state.surroundings
    stepped_s, ahead_s = around.clock_stepped_s, around.clock_ahead_s
    is_right = ahead_s is not None and abs(ahead_s) < policy.clock_apart_s
    if abs(stepped_s) >= policy.clock_step_s and not is_right and around.clock_stepped_s_ago < policy.clock_news_s:
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
