"""A region's own database as its agent looks at it: ``ig.observe()``, and what follows from looking again and again.

One session. How long ago a destination had all that was committed here is measured by pairing each look's flush
position with the time *before* the look: whatever was committed by then lies at or below it. What is concluded about
other regions does not belong here (``control.agent.observer.observing``).
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from intelgraph.changelog.durability import lsn_number
from intelgraph.changelog.links import slot_name
from intelgraph.control.agent.leases.steady import Clock
from intelgraph.control.agent.observer.own_session import OwnSession, Session
from intelgraph.settings import Database

LOOK_TIMEOUT_S = 1.5
_SAMPLES_MAX = 4_000


class HeldHere(msgspec.Struct, frozen=True, kw_only=True):
    """What this database holds of one placement."""

    epoch: int
    home: str
    hold: str | None
    gap: str | None
    whole: bool
    closed: bool
    tail: str | None
    """Differs whenever other rows beyond a cut may wait for a decision than before; none while there are none."""


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One slot: what is kept for a destination, and how far that says it has flushed."""

    active: bool
    lost: bool
    kept_bytes: int | None
    flushed: str | None


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """How often a slot was made for a destination, and how long ago the last time was."""

    times: int
    s_ago: float


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """The streams of this database: slots by name, subscriptions (enabled or not) by name."""

    slots: dict[str, Slot]
    made: dict[str, Made]
    subscriptions: dict[str, bool]


class OpenTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest transaction that may hold positions, and whose session it is."""

    pid: int
    user: str
    application: str
    state: str
    age_s: float


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of ``ig.observe()``."""

    region: str
    life: int
    schema: str
    flush: str
    settled: dict[str, int]
    tokens: dict[str, int]
    """By peer: the newest of this machine's clock readings (ns) that came back through the peer's log."""
    placements: dict[str, HeldHere]
    links: Links
    troubles: int
    oldest: OpenTransaction | None = None
    """What feeds, streams and planned moves wait for, if anything."""
    feed_silent_s: float | None = None
    """For how long the feed at work has asked nothing; none: no feed is at work."""


def transaction_text(oldest: OpenTransaction, here: str) -> str:
    """Name the session that feeds, streams and planned moves wait for, and how to end it."""
    who = f"pid {oldest.pid} ({oldest.user}, {oldest.application or 'no name'}, {oldest.state})"
    how = f"`select pg_terminate_backend({oldest.pid})` ends it"
    if not oldest.pid:
        who = f"{oldest.user} (prepared as {oldest.application})"
        how = "`rollback prepared` or `commit prepared` ends it"
    return (
        f"a transaction of {who} in the database of {here} is open for {oldest.age_s:.0f} s: feeds, streams and "
        f"planned moves wait for it, since it may hold positions; {how}"
    )


def looks_session(database: Database, *, region: str) -> OwnSession:
    """Return the session in which an agent looks at its database and carries out plans."""
    name = {"application_name": "intelgraph-agent-looks"}
    return OwnSession(database, region=region, timeout_s=LOOK_TIMEOUT_S, session=name)


class OwnDatabase:
    """The agent's session with its region's database, and what the looks so far tell."""

    def __init__(self, session: Session, *, region: str, clock: Clock) -> None:
        self._region = region
        self._clock = clock
        self._session = session
        self._samples: deque[tuple[float, int]] = deque(maxlen=_SAMPLES_MAX)
        self._confirmed: dict[str, float] = {}
        self.observed: Observed | None = None
        """The last look's answer; none when it failed."""
        self.looked_s: float | None = None
        """When the last look that was answered began."""

    async def look(self) -> None:
        """Look once; raises ``database_unavailable`` and then knows nothing."""
        began_s = self._clock()
        try:
            text = await self.ask("select ig.observe()::text")
        except BaseException:
            self.observed = None
            raise
        self.observed = msgspec.json.decode(text, type=Observed)
        self.looked_s = began_s
        self._samples.append((began_s, lsn_number(self.observed.flush)))
        self._take_confirmations(self.observed)

    def unconfirmed_s(self, destination: str) -> float | None:
        """Return for how long ``destination`` has not confirmed what was committed here; none if that is not known."""
        confirmed_s = self.confirmed_s(destination)
        return None if confirmed_s is None else max(0.0, self._clock() - confirmed_s)

    def confirmed_s(self, destination: str) -> float | None:
        """Return up to when ``destination`` has confirmed what was committed here, on this process's clock."""
        return self._confirmed.get(slot_name(self._region, destination))

    async def ask(self, statement: str, *arguments: object) -> Any:
        """Ask for one value; raises ``database_unavailable``. Looks wait for it: nothing long is asked here."""
        return await self._session.ask(statement, *arguments)

    def close(self) -> None:
        """End the session, at once."""
        self._session.close()

    def _take_confirmations(self, observed: Observed) -> None:
        for name, slot in observed.links.slots.items():
            if slot.flushed is None:
                continue
            position = lsn_number(slot.flushed)
            reached_s = next((began_s for began_s, flush in reversed(self._samples) if flush <= position), None)
            if reached_s is not None:
                self._confirmed[name] = max(self._confirmed.get(name, reached_s), reached_s)
