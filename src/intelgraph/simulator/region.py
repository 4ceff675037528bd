"""A region: a site with a database, and what may be wrong with it besides. Its processes are made elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intelgraph.simulator.database import Database
from intelgraph.simulator.virtual_time import Site

if TYPE_CHECKING:
    from intelgraph.simulator.worker import Worker
    from intelgraph.simulator.world import World

HANGS_S = 1.5
"""After so long a session gives up on a database that does not answer."""


class Region(Site):
    """One region of a world."""

    __slots__ = ("database", "database_hangs", "flush_s", "hangs_s", "lost_for_good", "worker", "world",
                 "writes_fail")  # fmt: skip

    def __init__(self, world: World, name: str, placements: list[str], *, rate: float, offset_s: float) -> None:
        super().__init__(world.universe, name, rate=rate, offset_s=offset_s)
        self.world = world
        self.database = Database(name, placements)
        self.database_hangs = False
        self.flush_s = 0.0
        """By so much longer a commit takes: its disk is slow."""
        self.hangs_s = HANGS_S
        self.writes_fail = False
        """No write of a client gets through, although the agent and the database work."""
        self.lost_for_good = False
        self.worker: Worker | None = None
        """The API process; none while the region is down."""
