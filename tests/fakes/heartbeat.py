"""A region's database as far as a lease needs it: it knows its agents' terms, may be away, and takes its time."""

from __future__ import annotations

from collections.abc import Callable

from intelgraph.control.agent.leases.keeper import Beat
from intelgraph.model.errors import retry


class FakeHeartbeat:
    """A ``Heartbeat`` in memory. ``on_beat`` happens while it commits."""

    def __init__(self, on_beat: Callable[[], None] = lambda: None) -> None:
        self.terms: set[str] = set()
        self.away = False
        self.on_beat = on_beat

    async def beat(self, term: str, counter: int) -> Beat:
        """Commit, unless it is away."""
        self.on_beat()
        if self.away:
            raise retry("database_unavailable", "the lease is not renewed: the database is away", retry_after_s=1.0)
        self.terms.add(term)
        return Beat(life=1, schema="abc", terms=frozenset(self.terms))
