"""The home's agent decides by policy about what came back with a lost region, as it comes.

A placement is looked at when the number of rows beyond a cut, or its epoch, has changed since a round that decided
nothing. What is left then is listed: `intelgraph salvage`, and a finding of `intelgraph status`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from intelgraph.control.agent import Agent
from intelgraph.control.agent_metrics import AgentMetrics
from intelgraph.control.observing import Observing
from intelgraph.control.own_database import HeldHere, OwnDatabase
from intelgraph.control.salvaging import salvage_round
from intelgraph.model.errors import IntelGraphError
from intelgraph.placement.plan import is_open

ROUND_S = 0.5


class SalvageLoop:
    """One region's rounds of salvage."""

    def __init__(self, agent: Agent, observing: Observing, database: OwnDatabase, metrics: AgentMetrics) -> None:
        self._agent = agent
        self._observing = observing
        self._database = database
        self._metrics = metrics
        self._settled: dict[str, tuple[int, int]] = {}
        self._people: dict[str, int] = {}

    @property
    def people(self) -> Mapping[str, int]:
        """By placement: how many rows wait for a person."""
        return self._people

    async def run(self) -> None:
        """Decide for ever."""
        while True:
            for name, held in self._due():
                await self._round(name, held)
            await asyncio.sleep(ROUND_S)

    def _due(self) -> list[tuple[str, HeldHere]]:
        own, known = self._observing.own, self._observing.known
        if own is None:
            return []
        due = []
        for name, record in known.placements.items():
            held, placement = own.placements.get(name), record.placement
            if held is None or placement.home != self._agent.here or held.epoch != placement.epoch:
                self._people.pop(name, None)
                continue
            ready = held.hold is None and not held.closed and is_open(placement, known.plan_of(name).plan)
            if ready and self._settled.get(name, (0, 0)) != (held.epoch, held.inert) and held.inert:
                due.append((name, held))
        return due

    async def _round(self, name: str, held: HeldHere) -> None:
        try:
            done = await salvage_round(self._database, name)
        except IntelGraphError as error:
            self._agent.log("salvage_waits", placement=name, code=error.denied.code, reason=error.denied.reason)
            return
        self._people[name] = done.people
        if done.adopted or done.rejected:
            self._metrics.salvaged(adopted=done.adopted, rejected=done.rejected)
            self._agent.log("salvaged", placement=name, adopted=done.adopted, rejected=done.rejected, left=done.people)
        else:
            self._settled[name] = (held.epoch, held.inert)
