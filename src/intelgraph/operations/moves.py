"""Moving placements: what is to become of each is decided, said, recorded as a plan, and followed to its end.

How it is decided is elsewhere (``placement.failover``, ``switchover``, ``drain``); the agents carry the plans out.
Where an agent was faster and has changed a placement meanwhile, it is looked at and decided about again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from intelgraph.control.directory.placements import unknown_placement
from intelgraph.control.directory.plans import PlanRecord
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import Denied, Fact, TransientError
from intelgraph.model.placement import Placement
from intelgraph.operations.operator import Operator, Step, StepKind
from intelgraph.operations.plan_progress import follow, given_up, record_plan
from intelgraph.operations.record import record
from intelgraph.operations.view import OperatorsView, observe
from intelgraph.placement.decision import Decision, Start
from intelgraph.placement.failover import failover_to
from intelgraph.placement.plan import Kind, Plan, is_under_way
from intelgraph.placement.switchover import fail_back as decide_fail_back
from intelgraph.placement.switchover import switch_to

_TRIES = 4


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What is to become of one placement: a plan, or why there is none; both: the plan, and what it goes without."""

    placement: str
    plan: Plan | None = None
    denied: Denied | None = None
    read_only: bool = False
    """Whether its writes stop when the region does that is drained."""
    note: str = ""

    @property
    def refused(self) -> bool:
        """Whether something was asked for that is not done."""
        return self.plan is None and self.denied is not None

    @property
    def text(self) -> str:
        """One sentence for people."""
        return f"{self.placement}: {_what(self)}"


@dataclass(frozen=True, kw_only=True)
class MoveOptions:
    """``dry_run`` records nothing; with ``wait`` the plans are followed for ``timeout_s`` at most."""

    dry_run: bool = False
    wait: bool = True
    timeout_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What was decided of each placement, and the plans that have ended; none of those without ``wait``."""

    dry_run: bool
    intents: tuple[Intent, ...]
    plans: tuple[PlanRecord, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing was refused, and no plan that was waited for was given up."""
        return not any(intent.refused for intent in self.intents) and all(given_up(each) is None for each in self.plans)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the record says of an operation, beside the plans and the actor."""

    operation: str
    facts: Mapping[str, Fact] = field(default_factory=dict)


Decide = Callable[[OperatorsView], list[Intent]]
DEFAULTS = MoveOptions()


async def switch_over(
    operator: Operator, target: str, *, placement: str | None = None, options: MoveOptions = DEFAULTS
) -> Moved:
    """Move a placement's home to ``target``, or of every placement that may live there; it is declared its home."""
    operator.site.region(target)
    policy = operator.site.policy

    def decide(view: OperatorsView) -> list[Intent]:
        intents = []
        for name in _chosen(view, placement):
            place, plan = view.known.placements[name].placement, view.known.plan_of(name).plan
            note = nothing_to_move(place, plan, target, every=placement is None)
            if note is not None:
                intents.append(Intent(placement=name, note=note))
            else:
                intents.append(_intent(name, switch_to(view.view(name, as_of=target), target, policy)))
        return intents

    asked = Asked(operation="switchover", facts={"to": target, "placement": placement})
    return await carry_out(operator, asked, decide, options)


async def fail_back(operator: Operator, *, placement: str | None = None, options: MoveOptions = DEFAULTS) -> Moved:
    """Move a placement, or every one, back to the home that was declared for it."""
    policy = operator.site.policy

    def decide(view: OperatorsView) -> list[Intent]:
        intents = []
        for name in _chosen(view, placement):
            place = view.known.placements[name].placement
            if place.home == place.wanted.home:
                intents.append(Intent(placement=name, note=f"is at home in {place.home}"))
            else:
                intents.append(_intent(name, decide_fail_back(view.view(name, as_of=place.wanted.home), policy)))
        return intents

    asked = Asked(operation="failback", facts={"placement": placement})
    return await carry_out(operator, asked, decide, options)


async def fail_over(
    operator: Operator,
    target: str,
    *,
    placement: str | None = None,
    allow_data_loss: bool = False,
    options: MoveOptions = DEFAULTS,
) -> Moved:
    """Let ``target`` take a placement over, or every one, whose home is lost.

    With ``allow_data_loss`` a region may that is not its standby: what it lacks is cut off, and salvaged later.
    """
    operator.site.region(target)
    policy = operator.site.policy

    def decide(view: OperatorsView) -> list[Intent]:
        return [
            _intent(
                name,
                failover_to(view.view(name, as_of=target), target, allow_data_loss=allow_data_loss, policy=policy),
            )
            for name in _chosen(view, placement)
        ]

    facts: dict[str, Fact] = {"to": target, "placement": placement, "allow_data_loss": allow_data_loss}
    return await carry_out(operator, Asked(operation="failover", facts=facts), decide, options)


def nothing_to_move(placement: Placement, plan: Plan | None, target: str, *, every: bool) -> str | None:
    """Say why nothing is to be moved; none where a move is to be decided about, as while a plan is under way."""
    if every and target not in placement.regions:
        return f"stays in {placement.home}: it may not live in {target}"
    if placement.home != target or is_under_way(placement, plan):
        return None
    if placement.wanted.home == target:
        return f"is at home in {target} already"
    declaring = f"`intelgraph placement declare {placement.id} --home {target}` declares it its home"
    return f"is in {target} already, and its declared home is {placement.wanted.home}: {declaring}"


async def carry_out(
    operator: Operator,
    asked: Asked,
    decide: Decide,
    options: MoveOptions,
    declare: Callable[[ControlStore], Awaitable[object]] | None = None,
) -> Moved:
    """Decide, record and wait. ``declare`` is awaited before any plan is recorded, and not of a dry run."""
    async with operator.site.store() as store:
        seen = await observe(store, to_decide=True)
        intents = decide(seen)
        if options.dry_run:
            return Moved(dry_run=True, intents=tuple(intents))
        record(operator, asked.operation, **asked.facts, plans=[each.plan.id for each in intents if each.plan])
        for intent in intents:
            operator.on_step(Step(kind=StepKind.DECIDED, about=intent.placement, text=_what(intent)))
        if declare is not None:
            await declare(store)
        intents, records = await _record(operator, store, seen, intents, decide)
        ended: list[PlanRecord] = []
        if options.wait:
            ended = await follow(store, records, timeout_s=options.timeout_s, on_step=operator.on_step)
    return Moved(dry_run=False, intents=tuple(intents), plans=tuple(ended))


async def _record(
    operator: Operator, store: ControlStore, seen: OperatorsView, intents: list[Intent], decide: Decide
) -> tuple[list[Intent], list[PlanRecord]]:
    """Record every plan, on what it was decided on; where an agent was faster, look and decide again.

    It may have done what was asked for.
    """
    done: list[Intent] = []
    records: list[PlanRecord] = []
    for intent in intents:
        decided_on = seen
        for left in reversed(range(_TRIES)):
            if intent.plan is None:
                break
            name = intent.placement
            known = decided_on.known
            try:
                records.append(
                    await record_plan(store, known.placements[name], known.plan_of(name), intent.plan, operator.actor)
                )
                break
            except TransientError as error:
                if error.denied.code != "plan_changed" or not left:
                    raise
            decided_on = await observe(store, to_decide=True)
            again = {each.placement: each for each in decide(decided_on)}
            intent = again.get(name, Intent(placement=name))
        done.append(intent)
    return done, records


def _chosen(view: OperatorsView, placement: str | None) -> list[str]:
    """Return the one placement, else every one; refuses an unknown one."""
    if placement is None:
        return sorted(view.known.placements)
    if placement not in view.known.placements:
        raise unknown_placement(placement)
    return [placement]


def _intent(placement: str, decision: Decision) -> Intent:
    if isinstance(decision, Start):
        return Intent(placement=placement, plan=decision.plan)
    return Intent(placement=placement, denied=decision.denied)


def _what(intent: Intent) -> str:
    if intent.plan is None:
        if intent.denied is None:
            return intent.note or "nothing to be done"
        consequence = " (read-only when the region stops)" if intent.read_only else ""
        return f"refused{consequence}: {intent.denied.reason}"
    before, after = intent.plan.before, intent.plan.after
    standby = f"standby {after.standby}" if after.standby else "no standby"
    what = f"{intent.plan.kind.value} from {before.home} to {after.home}"
    if intent.plan.kind is Kind.RESTAND:
        what = f"stays in {after.home}, its standby was {before.standby or 'none'}"
    without = f"; {intent.denied.reason}" if intent.denied else ""
    return f"{what}, epoch {after.epoch}, {standby}, {after.durability.value}{without}"
