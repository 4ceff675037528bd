"""Leases, placements and what is wrong, from the agents' reports and the store: a part of the overview.

For people first: each sentence says what is the case and what to do. It shows; it decides and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

from intelgraph.control.agent.observer.findings import NOTICES, about
from intelgraph.control.directory.plans import PlanRecord
from intelgraph.control.store.opened import open_store
from intelgraph.model.errors import Denied, IntelGraphError
from intelgraph.model.placement import Durability, Placement
from intelgraph.operations.view import OperatorsView, observe
from intelgraph.placement.lease import LeasePolicy
from intelgraph.placement.plan import is_under_way
from intelgraph.settings import ControlConfig

_ANSWER_S = 6.0
_REFUSING = frozenset({"rpo_at_risk", "standby_silent"})
"""A placement of which this is found takes no writes, or acknowledges none."""


class LeaseLine(msgspec.Struct, frozen=True, kw_only=True):
    """One region's lease: ``still_s`` by vantage point, and whether it is held as most of them see it."""

    region: str
    held: bool
    still_s: dict[str, float]
    reached_by: list[str]


class PlacementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One placement as it stands. ``read_only``: why it takes no writes now; none when it does."""

    placement: str
    home: str
    declared_home: str
    standby: str | None
    epoch: int
    durability: str
    declared_durability: str
    degraded: bool
    plan: str | None
    turn: str | None
    read_only: str | None
    last_plan: str | None
    rto_s: float | None


class FindingLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, as a vantage point tells it."""

    vantage: str
    about: str
    code: str
    reason: str
    counts: bool
    """Whether the fleet is not ready while this is so; a notice says what is being dealt with."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; ``refusal`` says why nothing is known."""

    refusal: str | None = None
    silent: list[str] = []
    """Vantage points that have reported once, and not lately."""
    drained: list[str] = []
    drained_why: dict[str, str] = {}
    """By drained region: the reason that was given."""
    leases: list[LeaseLine] = []
    placements: list[PlacementLine] = []
    findings: list[FindingLine] = []

    @property
    def is_well(self) -> bool:
        """Whether everything is known, every placement takes writes, every agent reports and nothing is wrong."""
        stopped = any(each.read_only for each in self.placements)
        wrong = any(each.counts for each in self.findings)
        return self.refusal is None and not stopped and not wrong and not self.silent


async def read_standing(control: ControlConfig, policy: LeasePolicy) -> Standing:
    """Ask the control store; takes some seconds at most, and raises nothing of the store's."""
    store = open_store(control)
    try:
        async with asyncio.timeout(_ANSWER_S):
            return standing_of(await observe(store), policy)
    except IntelGraphError as error:
        return Standing(refusal=error.denied.reason)
    except TimeoutError:
        return Standing(refusal=f"the control store has not answered within {_ANSWER_S:g} s")
    finally:
        await store.close()


def standing_of(view: OperatorsView, policy: LeasePolicy) -> Standing:
    """Put together what is shown. Pure."""
    leases = [_lease(view, region, policy) for region in sorted(view.versions)]
    held = {lease.region for lease in leases if lease.held}
    silent = sorted({*view.versions, "witness"} - view.reports.keys())
    return Standing(
        silent=silent,
        drained=sorted(view.known.drained),
        drained_why=dict(view.known.drained_why),
        leases=leases,
        placements=[
            _placement(record.placement, view.known.plan_of(name), view, held)
            for name, record in sorted(view.known.placements.items())
        ],
        findings=[
            FindingLine(
                vantage=vantage,
                about=about(each),
                code=each.code,
                reason=each.reason,
                counts=each.code not in NOTICES,
            )
            for vantage, report in sorted(view.reports.items())
            for each in report.findings
        ],
    )


def _lease(view: OperatorsView, region: str, policy: LeasePolicy) -> LeaseLine:
    seen = {name: report.leases[region] for name, report in view.reports.items() if region in report.leases}
    still_s = {name: each.still_s for name, each in sorted(seen.items())}
    over = [name for name, each in seen.items() if each.still_s >= policy.over_after_s]
    return LeaseLine(
        region=region,
        held=bool(seen) and not over,
        still_s=still_s,
        reached_by=sorted(name for name, each in seen.items() if each.reached),
    )


def _placement(placement: Placement, record: PlanRecord, view: OperatorsView, held: set[str]) -> PlacementLine:
    under_way = record.plan if is_under_way(placement, record.plan) else None
    current = under_way.current if under_way is not None else None
    return PlacementLine(
        placement=placement.id,
        home=placement.home,
        declared_home=placement.wanted.home,
        standby=placement.standby,
        epoch=placement.epoch,
        durability=placement.durability.value,
        declared_durability=placement.wanted.durability.value,
        degraded=placement.is_degraded,
        plan=under_way.id if under_way is not None else None,
        turn=current.told if current is not None else None,
        read_only=_read_only(placement, record, view, held),
        last_plan=record.plan.id if record.plan is not None else None,
        rto_s=record.times.rto_s if record.times is not None else None,
    )


def _read_only(placement: Placement, record: PlanRecord, view: OperatorsView, held: set[str]) -> str | None:
    stands = list(_stands(view, placement.id))
    if placement.home not in held:
        why = f": {stands[0].reason}" if stands else ""
        return f"its home {placement.home} has no lease{why}"
    if record.plan is not None and is_under_way(placement, record.plan):
        return f"it is moving: plan {record.plan.id}; writes are held"
    report = view.reports.get(placement.home)
    if report is not None and report.writes is not None and report.writes.is_broken:
        return "writes fail at its home" if report.writes.why is None else report.writes.why.reason
    is_remote = placement.durability is Durability.REMOTE
    refusing = [each for each in stands if each.code in _REFUSING or (is_remote and each.code == "standby_lost")]
    return refusing[0].reason if refusing else None


def _stands(view: OperatorsView, placement: str) -> Iterator[Denied]:
    for report in view.reports.values():
        for each in report.findings:
            if about(each) == placement:
                yield each
