"""Clock: the wall clocks of a region are set an hour ahead, or back, while its processes run; later they are right.

Only a fleet whose clocks can be set has it (``fleet.layout.clocks``). Nothing is lost by it: leases are timed by the
time since boot, and the log is ordered by positions. It is looked at where it counts: PostgreSQL's clock and the
door's.
"""

from __future__ import annotations

import asyncio
import time
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from intelgraph.fleet.layout import clocks
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.postgres.server import ADMIN, server_of
from intelgraph.model.errors import TransientError, refuse
from intelgraph.operations.database import ask_owner

STEP_S = 3_600
_CLOSE_S = 5.0
_SEEN_WITHIN_S = 10.0
_LOOK_S = 0.2
_ANSWER_S = 2.0
_NOW = "select extract(epoch from clock_timestamp())::float8"


@dataclass(kw_only=True)
class Clock:
    """``ahead_s``: how far the clocks are set; nobody sets them back but ``heal`` (the dead man calls it)."""

    fleet: Fleet
    region: str
    name: str
    ahead_s: int
    loses_region: bool = False

    def missing(self) -> str | None:
        """It takes a fleet that runs under libfaketime."""
        if not self.fleet.topology.fake_clocks:
            return (
                f"the clocks of {self.region} cannot be set: write `fake_clocks = true` into the topology file, run "
                "`make faketime` (Linux), then `intelgraph down` and `up`"
            )
        return None

    def inject(self, dead_man_s: float) -> str:
        """Set the clocks, then ask PostgreSQL and the door what time it is."""
        why = self.missing()
        if why is not None:
            raise refuse("fault_not_injected", why)
        return self._set(self.ahead_s, "fault_not_injected")

    def heal(self) -> str:
        """Set them right, and ask again."""
        return self._set(0, "fault_not_healed")

    def _set(self, ahead_s: int, otherwise: str) -> str:
        clocks.set_ahead(self.fleet, self.region, ahead_s)
        until_s = time.monotonic() + _SEEN_WITHIN_S
        while True:
            database_s, door_s = asyncio.run(self._database_ahead_s()), self._door_ahead_s()
            told = f"against this machine's clock, PostgreSQL of {self.region}: {_shown(database_s)}, its door: "
            told += _shown(door_s)
            if all(each is not None and abs(each - ahead_s) <= _CLOSE_S for each in (database_s, door_s)):
                return told
            if time.monotonic() >= until_s:
                raise refuse(otherwise, f"the clocks of {self.region} are not {ahead_s:+d} s off: {told}")
            time.sleep(_LOOK_S)

    async def _database_ahead_s(self) -> float | None:
        try:
            login = server_of(self.fleet, self.region).login(ADMIN)
            now_s: float = await ask_owner(self.region, login, (_NOW,), timeout_s=_ANSWER_S)
        except TransientError:
            return None
        return now_s - time.time()

    def _door_ahead_s(self) -> float | None:
        """By the ``Date`` of an answer that the API made itself: an edge would keep it, and has its own clock."""
        url = f"http://127.0.0.1:{self.fleet.ports[f'{self.region}/api']}/healthz"
        try:
            with urllib.request.urlopen(url, timeout=_ANSWER_S) as answer:
                return parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()
        except (OSError, TypeError, ValueError):
            return None


def _shown(ahead_s: float | None) -> str:
    return "silent" if ahead_s is None else f"{ahead_s:+.0f} s"


def ahead(fleet: Fleet, region: str) -> Clock:
    """An hour ahead."""
    return Clock(fleet=fleet, region=region, name="clock", ahead_s=STEP_S)


def back(fleet: Fleet, region: str) -> Clock:
    """An hour back."""
    return Clock(fleet=fleet, region=region, name="clock-back", ahead_s=-STEP_S)
