"""The doors of the regions: where a write is refused, held, appended, waited for, and acknowledged or not; and reads.

The order is the promise: the grant is looked at, the fence is in the append, the standby is waited for, and the grant
is looked at again; and no refusal is certain after an attempt without an answer. Each is a method of its own, so that a
test can leave one out and see it found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any, NamedTuple

from intelgraph.changelog.model.append import Answer, Refused, Repeated, Request, answer
from intelgraph.changelog.model.log import Identity, Kind, Row, Writer
from intelgraph.control.simulator.engine import Engine, Process
from intelgraph.control.simulator.network import Network
from intelgraph.control.simulator.promises import Promises
from intelgraph.control.simulator.region import Held, Region
from intelgraph.control.simulator.replication import Replication
from intelgraph.model.placement import Durability, Placement
from intelgraph.placement.governor import Admit, admit
from intelgraph.placement.policy import GovernorPolicy

COMMIT_S = 0.002
HOLD_S = 0.4
STANDBY_S_MAX = 4.0
HANGS_S = 60.0
"""Longer than any client waits."""
GOVERNOR = GovernorPolicy()
HELD = ("fenced", "not_home", "unknown_placement", "closing", "gap")


class Told(NamedTuple):
    """What a door answers: ``ok`` (with the row), ``held``, ``unknown``, ``refused``, or nothing (``gone``)."""

    status: str
    why: str
    row: Identity | None = None
    epoch: int = 0
    durability: str = "home"


Telling = Generator[float | None, None, Told]


class Doors:
    """Every region's doors; a write runs as a process of the region that takes it."""

    def __init__(self, engine: Engine, network: Network, replication: Replication, promises: Promises) -> None:
        self.engine = engine
        self.network = network
        self.replication = replication
        self.promises = promises

    # ----------------------------------------------------------------------------------------------- the grant

    def may_append(self, region: Region, placement: str) -> int | None:
        """The epoch in which the region may write now."""
        grant = region.grant
        return grant.epochs.get(placement) if self.engine.clock(region) < grant.until_s else None

    def may_acknowledge(self, region: Region, placement: str, epoch: int) -> bool:
        """Whether a write that has committed in ``epoch`` may be acknowledged now."""
        return self.may_append(region, placement) == epoch

    @staticmethod
    def may_refuse(*, unanswered: bool) -> bool:
        """Whether a refusal may be called certain: no attempt before it is left unanswered."""
        return not unanswered

    # -------------------------------------------------------------------------------------------------- writes

    def write(self, region: Region, placement: str, key: str, operations: tuple[Any, ...], me: Process) -> Telling:
        """Take one write at its home; ``me`` is the process that runs this."""
        epoch = self.may_append(region, placement)
        if region.writes_fail:
            return (yield from self._hang(region))
        if epoch is None:
            return Told("held", f"{region.name} has no grant")
        delay_s = self._governed(region, placement, epoch)
        if delay_s is None:
            return Told("held", "rpo_at_risk")
        if delay_s:
            yield delay_s
        request = Request(epoch=epoch, tenant=placement, key=key, request=key, operations=operations)
        row = yield from self._append(region, region.holds[placement], request)
        if isinstance(row, Told):
            return row
        opened = region.standbys.get((placement, epoch))
        remote = opened is not None and opened.durability is Durability.REMOTE
        standby = opened.standby if opened is not None and remote else None
        if standby is not None and not (yield from self.flushed(region, standby, me)):
            return Told("unknown", f"{standby} has not confirmed")
        if not self.may_acknowledge(region, placement, epoch):
            return Told("unknown", "the lease ran out meanwhile")
        if region.writes_fail:
            return (yield from self._hang(region))  # it is in the log, and its client hears nothing
        durability = "remote" if remote else "home"
        self.promises.acknowledged(region, placement, row, epoch, durability)
        return Told("ok", "", row.identity, row.epoch, durability)

    @staticmethod
    def _hang(region: Region) -> Telling:
        """Answer nothing for as long as anybody waits."""
        yield HANGS_S
        return Told("gone", f"{region.name} hangs")

    def _governed(self, region: Region, placement: str, epoch: int) -> float | None:
        opened = region.standbys.get((placement, epoch))
        if opened is None or opened.durability is Durability.REMOTE or opened.standby is None:
            return 0.0
        oldest_s, ago_s = self.measured(region, opened.standby)
        said = admit(oldest_s, measured_s_ago=ago_s, rpo_s_max=opened.wanted.rpo_s_max, policy=GOVERNOR)
        return said.delay_s if isinstance(said, Admit) else None

    def measured(self, region: Region, standby: str) -> tuple[float | None, float]:
        """How far the standby was behind when the agent measured it last, and how long ago that was."""
        grant = region.grant
        return grant.behind_s.get(standby), self.engine.clock(region) - grant.measured_s

    def _append(self, region: Region, held: Held, request: Request) -> Generator[float | None, None, Row | Told]:
        """Append and commit; the placement's lock is held shared meanwhile."""
        if region.disk_full:
            return Told("refused", "database_unavailable")
        said = self.append(region, held, request)
        if isinstance(said, Repeated):
            return held.known.rows[Identity(*said.row)]
        if isinstance(said, Refused):
            return Told("held" if said.code in HELD else "refused", said.code)
        position = region.draw()
        held.in_flight.add(position)
        yield COMMIT_S * (0.2 + self.engine.random.random() * 2)
        objects = tuple(said.objects.values())
        row = Row(
            identity=Identity(region.name, 1, position),
            epoch=request.epoch,
            kind=Kind.WRITE,
            digest=hash((region.name, position)),
            tenant=request.tenant,
            key=request.key,
            request=request.request,
            replicate_to=held.opening.opening.regions if held.opening and held.opening.opening else frozenset(),
            objects=objects,
            touched=frozenset(item["id"] for item in objects),
        )
        region.commit(request.tenant, row, self.engine.now)
        self.replication.kick(region)
        return row

    def append(self, region: Region, held: Held, request: Request) -> Answer:
        """What the database says, under the placement's lock."""
        if held.closed is not None and held.closed[0] == request.epoch:
            return Refused(code="closing")
        if held.gap is not None:
            return Refused(code="gap")
        return answer(held.known, Writer(region.name, 1), request)

    def flushed(self, region: Region, standby: str, me: Process) -> Generator[float | None, None, bool]:
        """Wait until the standby has flushed everything that is committed here now."""
        target = len(region.log)
        if region.confirmed.get(standby, 0) >= target:
            return True
        queue = region.waiting.setdefault(standby, deque())
        queue.append((target, me))
        until_s = self.engine.now + STANDBY_S_MAX
        yield STANDBY_S_MAX
        return self.engine.now <= until_s and region.confirmed.get(standby, 0) >= target

    # --------------------------------------------------------------------------------------------------- reads

    def read(self, region: Region, placement: str, id_: str, bookmark: Told | None) -> Told:
        """Answer a read that may carry a bookmark."""
        held = region.holds[placement]
        if held.gap is not None or held.opening is None:
            return Told("refused", "gap")
        if bookmark is not None and bookmark.row is not None:
            if bookmark.row not in held.known.rows:
                return Told("refused", "too_far_behind")
            if bookmark.row not in held.known.accepted:
                self.promises.superseded(region, placement, bookmark.row, bookmark.durability)
                return Told("refused", "superseded")
        self.promises.read(region, placement, id_, None if bookmark is None else bookmark.row)
        return Told("ok", "")

    def home_of(self, region: Region, placement: str) -> Placement | None:
        """The placement as the region's directory has it."""
        return region.directory.get(placement)
