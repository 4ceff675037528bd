"""The home's agent decides by policy about what came back with a lost region, as it comes.

It goes through a placement's rows page by page (``control.agent.controller.salvage_pass``), in a session of its own:
looks and a plan's actions wait for none of it, nor do writes for more than a page. What is left then is listed:
`intelgraph salvage`, and a finding of `intelgraph status`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from intelgraph.control.agent.controller.salvage_pass import SalvagePass, Seen
from intelgraph.control.agent.controller.salvaging import salvage_page
from intelgraph.control.agent.observer.observing import Known
from intelgraph.control.agent.observer.own_database import Observed
from intelgraph.control.agent.observer.own_session import Session, took_too_long
from intelgraph.model.errors import IntelGraphError
from intelgraph.placement.plan import is_open

ROUND_S = 0.5
PAUSE_S = 0.1
"""Between two pages: a page that decides has the placement's lock alone for about as long, and writes want it too."""
PAGE_TIMEOUT_S = 5.0
"""A page takes a tenth of a second or two, and one row of the largest size two seconds; so long bounds only what a
database does that is overloaded or gone. What took longer is tried again with less in it."""


class Telling(Protocol):
    """What is needed of the agent: which region's it is, and its log."""

    here: str

    def log(self, event: str, **facts: object) -> None:
        """Write one line; facts are names and numbers, never a tenant's."""
        ...


class Seeing(Protocol):
    """What is needed of ``control.agent.observer.observing``."""

    known: Known

    @property
    def own(self) -> Observed | None:
        """What the own database told last."""
        ...


class Counting(Protocol):
    """What is counted of salvage."""

    def salvaged(self, *, adopted: int, rejected: int) -> None:
        """Count the rows that were decided about by policy."""
        ...


class SalvageLoop:
    """One region's rounds of salvage."""

    def __init__(self, agent: Telling, observing: Seeing, session: Session, metrics: Counting) -> None:
        self._agent = agent
        self._observing = observing
        self._session = session
        self._metrics = metrics
        self._passes: dict[str, SalvagePass] = {}

    @property
    def people(self) -> Mapping[str, int]:
        """By placement: how many rows wait for a person."""
        return {name: stands.people for name, stands in self._passes.items()}

    async def run(self) -> None:
        """Decide for ever."""
        while True:
            goes_on = await self.round()
            await asyncio.sleep(PAUSE_S if goes_on else ROUND_S)

    async def round(self) -> bool:
        """Look at one page of each placement that has rows to look at; returns whether there is more to do at once."""
        due = self._due()
        if not due:
            self._session.close()
        goes_on, broken = [], None
        for name, seen in due:
            try:
                goes_on.append(await self._page(name, seen))
            except Exception as error:  # a placement whose rows cannot be read keeps no other's from being decided
                broken = broken or error
        if broken is not None:
            raise broken
        return any(goes_on)

    def _due(self) -> list[tuple[str, Seen]]:
        own, known = self._observing.own, self._observing.known
        if own is None:
            return []
        due = []
        for name in self._passes.keys() - known.placements.keys():
            del self._passes[name]
        for name, record in known.placements.items():
            held, placement = own.placements.get(name), record.placement
            at_home = placement.home == self._agent.here and held is not None and held.epoch == placement.epoch
            if not at_home or held is None or held.tail is None:
                self._passes.pop(name, None)
                continue
            stands = self._passes.setdefault(name, SalvagePass())
            if held.hold is not None or held.closed or not is_open(placement, known.plan_of(name).plan):
                self._passes[name] = stands.interrupted()
            elif stands.is_due((held.epoch, held.tail)):
                due.append((name, (held.epoch, held.tail)))
        return due

    async def _page(self, name: str, seen: Seen) -> bool:
        stands = self._passes[name]
        try:
            done = await salvage_page(self._session, name, stands)
        except IntelGraphError as error:
            self._agent.log("salvage_waits", placement=name, code=error.denied.code, reason=error.denied.reason)
            if took_too_long(error):
                self._passes[name] = stands.timed_out()
            return False
        self._passes[name] = stands = stands.turned(
            seen,
            after=done.next,
            decided=done.tried,
            people=done.people,
            passed_over=done.passed_over,
            reserved=done.reserved,
        )
        if done.adopted or done.rejected or done.unlinked:
            self._metrics.salvaged(adopted=done.adopted, rejected=done.rejected)
            self._agent.log(
                "salvaged",
                placement=name,
                adopted=done.adopted,
                rejected=done.rejected,
                unlinked=done.unlinked,
                left=stands.people,
            )
        return done.next is not None or not stands.waits or done.adopted + done.rejected + done.unlinked > 0
