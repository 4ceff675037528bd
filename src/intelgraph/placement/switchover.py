"""May a placement be moved on purpose, losing nothing? Legality and plan of switchover, failback and region drain.

A planned move waits for the source's exact last position, so it needs a target that is near: writes are held while
it catches up. Whoever is asked (the command line, a drain) has read the store and the regions' reports; nothing here
depends on who asks. Failover does not belong here: a source that is down has nothing to close.
"""

from __future__ import annotations

from dataclasses import replace

from intelgraph.model.placement import Declared, Durability, Placement, StandbyLoss
from intelgraph.placement.decision import Decision, Start, cannot, plan_id
from intelgraph.placement.fitness import Unfit, caught_up, unfit, unfit_writes
from intelgraph.placement.plan import Kind, Plan, is_under_way
from intelgraph.placement.policy import Policy
from intelgraph.placement.view import View


def switch_to(view: View, target: str, policy: Policy) -> Decision:
    """Decide about a move of the placement to ``target`` that an operator asks for."""
    return _move(view, target, Kind.SWITCHOVER, policy)


def fail_back(view: View, policy: Policy) -> Decision:
    """Decide about the move to the home that was declared."""
    return _move(view, view.placement.wanted.home, Kind.FAILBACK, policy)


def _move(view: View, target: str, kind: Kind, policy: Policy) -> Decision:
    why = illegal(view, target, policy)
    if why is None:
        after = after_move(view, target, kind, policy)
        why = lacks_standby(after)
    if why is not None:
        facts = {"placement": view.placement.id, "target": target, "home": view.placement.home}
        return cannot(f"move {view.placement.id} to {target}", why.fact, why.limit, code=why.code, **facts)
    plan = Plan(id=plan_id(view.placement, kind, view.plan), kind=kind, before=view.placement, after=after)
    return Start(plan=plan)


def illegal(view: View, target: str, policy: Policy) -> Unfit | None:
    """Say why the placement may not be moved to ``target`` now."""
    placement, plan = view.placement, view.plan
    if target == placement.home:
        return Unfit("already_home", f"it is the home of {placement.id}", "a move goes elsewhere")
    if plan is not None and is_under_way(placement, plan):
        return Unfit("already_moving", f"plan {plan.id} is under way", "one plan at a time")
    why = caught_up(view, target, policy) or unfit_writes(view, target)
    if why is not None:
        return why
    held = view.copies.get(placement.home)
    if held is not None and held.waits_for is not None and held.waits_s >= policy.transaction_s_max:
        limit = f"a move waits {policy.bounds.catch_up_s_max:g} s for its target at most"
        return Unfit("transaction_open", held.waits_for, limit)
    source = unfit(replace(view, drained=frozenset()), placement.home, policy)
    if source is not None:
        return Unfit("source_" + source.code, f"{placement.home} cannot hand over: {source.fact}", source.limit)
    return None


def after_move(view: View, target: str, kind: Kind, policy: Policy) -> Placement:
    """The placement after a planned move: the old home is the standby, unless it is to be left alone (drained).

    An operator's switchover declares the new home; a failback restores what was declared, and a drain changes nothing
    of it (``drain``).
    """
    before, wanted = view.placement, view.placement.wanted
    ranked = (before.home, *(name for name in before.regions if name not in (before.home, target)))
    fit = (name for name in ranked if name not in view.drained)
    standby = next((name for name in fit if name == before.home or caught_up(view, name, policy) is None), None)
    if kind is Kind.SWITCHOVER:
        wanted = replace(wanted, home=target)
    return next_epoch(before, home=target, standby=standby, declared=wanted)


def next_epoch(before: Placement, *, home: str, standby: str | None, declared: Declared) -> Placement:
    """The placement in its next epoch, with the durability that was declared as far as its standby allows."""
    durability = declared.durability if standby is not None else Durability.HOME
    return replace(before, home=home, standby=standby, epoch=before.epoch + 1, durability=durability, declared=declared)


def lacks_standby(after: Placement) -> Unfit | None:
    """Say why a placement may not become ``after``: it refuses to be without a standby, and would have none."""
    if after.standby is not None or not refuses_without_standby(after):
        return None
    fact = f"{after.home} would have no standby: each other allowed region is drained, down or behind"
    return Unfit("no_standby", fact, f"{after.id} declared to refuse writes without one")


def refuses_without_standby(placement: Placement) -> bool:
    """Whether the placement was declared to rather refuse writes than to go on without a standby."""
    wanted = placement.wanted
    return wanted.durability is Durability.REMOTE and wanted.on_standby_loss is StandbyLoss.STRICT
