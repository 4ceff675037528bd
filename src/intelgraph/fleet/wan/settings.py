"""What a WAN link does to each of its directions, and for how long. Pure: the relay obeys, the command line asks.

A link has lasting settings and perhaps temporary ones with an end: the dead-man's switch of a drill, after which the
link is again as it was even if whoever cut it is gone.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from intelgraph.model.duration import duration_text
from intelgraph.model.errors import refuse

DELAY_MS_MAX = 10_000.0
FOR_S_MAX = 86_400.0


class Cut(Enum):
    """``silent`` holds bytes back and answers nothing, like a lost route; ``reset`` ends and refuses connections."""

    NONE = "none"
    SILENT = "silent"
    RESET = "reset"


class Direction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One direction of a link."""

    delay_ms: float = 0.0
    cut: Cut = Cut.NONE

    def __post_init__(self) -> None:
        if not 0.0 <= self.delay_ms <= DELAY_MS_MAX:
            raise refuse(
                "bad_delay",
                f"a delay of {self.delay_ms:g} ms is refused: it must be from 0 to {DELAY_MS_MAX:.0f} ms",
            )


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both directions of the link between ``a`` and ``b``."""

    a_to_b: Direction = Direction()
    b_to_a: Direction = Direction()


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change: what is ``None`` stays. ``heal`` ends cuts and temporary settings; ``for_s`` makes it temporary."""

    a_to_b_delay_ms: float | None = None
    b_to_a_delay_ms: float | None = None
    a_to_b_cut: Cut | None = None
    b_to_a_cut: Cut | None = None
    heal: bool = False
    for_s: float | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What survives the relay. ``until_unix_s`` ends ``temporary``; ``default_delay_ms`` is the topology's."""

    default_delay_ms: float
    lasting: Settings
    temporary: Settings | None = None
    until_unix_s: float = 0.0

    @property
    def effective(self) -> Settings:
        """What holds now."""
        return self.temporary or self.lasting


def fresh(default_delay_ms: float) -> Kept:
    """A healthy link with the topology's delay."""
    both = Direction(delay_ms=default_delay_ms)
    return Kept(default_delay_ms=default_delay_ms, lasting=Settings(a_to_b=both, b_to_a=both))


def resume(kept: Kept | None, *, default_delay_ms: float, now_unix_s: float) -> Kept:
    """What a relay starts with: what was kept, unless the topology's delay has changed since or its time is over."""
    if kept is None or kept.default_delay_ms != default_delay_ms:
        return fresh(default_delay_ms)
    return expire(kept, now_unix_s=now_unix_s)


def expire(kept: Kept, *, now_unix_s: float) -> Kept:
    """Drop temporary settings whose time is over. A clock set back cannot make them last longer than allowed."""
    remaining_s = kept.until_unix_s - now_unix_s
    if kept.temporary is not None and not 0.0 < remaining_s <= FOR_S_MAX:
        return Kept(default_delay_ms=kept.default_delay_ms, lasting=kept.lasting)
    return kept


def change(kept: Kept, ask: Ask, *, now_unix_s: float) -> Kept:
    """Apply a change. A temporary one is laid over what holds now; a lasting one holds now too, and ends nothing.

    What is temporary ends when it would have: a change to something else must not make a cut last.
    """
    if ask.for_s is not None and not 0.0 < ask.for_s <= FOR_S_MAX:
        raise refuse(
            "bad_duration",
            f"a duration of {duration_text(ask.for_s)} is refused: it must be more than 0 s, and "
            f"{duration_text(FOR_S_MAX)} at most",
        )
    if ask.for_s is None:
        lasting = _laid_over(kept.lasting, ask)
        if ask.heal or kept.temporary is None:
            return Kept(default_delay_ms=kept.default_delay_ms, lasting=lasting)
        return msgspec.structs.replace(kept, lasting=lasting, temporary=_laid_over(kept.temporary, ask))
    return Kept(
        default_delay_ms=kept.default_delay_ms,
        lasting=kept.lasting,
        temporary=_laid_over(kept.lasting if ask.heal else kept.effective, ask),
        until_unix_s=now_unix_s + ask.for_s,
    )


def _laid_over(base: Settings, ask: Ask) -> Settings:
    return Settings(
        a_to_b=_direction(base.a_to_b, ask.a_to_b_delay_ms, ask.a_to_b_cut, heal=ask.heal),
        b_to_a=_direction(base.b_to_a, ask.b_to_a_delay_ms, ask.b_to_a_cut, heal=ask.heal),
    )


def _direction(now: Direction, delay_ms: float | None, cut: Cut | None, *, heal: bool) -> Direction:
    kept_cut = Cut.NONE if heal else now.cut
    return Direction(
        delay_ms=now.delay_ms if delay_ms is None else delay_ms,
        cut=kept_cut if cut is None else cut,
    )
