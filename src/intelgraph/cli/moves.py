"""What the verbs that move placements share: what is to become of each, shown before; recorded; and waited for.

One verb decides (``placement.failover``, ``switchover``, ``drain``), this module shows it (``--dry-run``), records the
plans, and follows them to their end. The agents carry them out; a command that is interrupted takes nothing back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.output import say, say_json
from intelgraph.cli.site import Site, run
from intelgraph.control.directory.placements import unknown_placement
from intelgraph.control.directory.plans import PlanRecord, read_plan, what_became_of
from intelgraph.control.operating import OperatorsView, look, record_by_hand
from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ControlStore
from intelgraph.model.errors import Denied, IntelGraphError, TransientError, refuse
from intelgraph.placement.decision import Decision, Start
from intelgraph.placement.drain import Leaving
from intelgraph.placement.plan import Kind, Plan

F = TypeVar("F", bound=Callable[..., Any])
_LOOK_S = 0.1
_TRIES = 4


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What is to become of one placement: a plan, or why there is none; both: the plan, and what it goes without."""

    placement: str
    plan: Plan | None = None
    denied: Denied | None = None
    read_only: bool = False
    note: str = ""

    @property
    def refused(self) -> bool:
        """Whether something was asked for that is not done."""
        return self.plan is None and self.denied is not None


@dataclass(frozen=True, kw_only=True)
class Options:
    """What ``move_options`` adds to a verb."""

    dry_run: bool
    wait: bool
    timeout_s: float
    as_json: bool


def move_options(command: F) -> F:
    """Add ``--dry-run``, ``--wait``, ``--timeout`` and ``--json``."""
    command = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(command)
    command = click.option(
        "--timeout", "timeout_s", type=Duration(), default="30s", show_default=True, help="How long to wait."
    )(command)
    command = click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")(command)
    return click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")(command)


def intent_of(placement: str, decision: Decision) -> Intent:
    """Turn a decision into what is shown of it."""
    if isinstance(decision, Start):
        return Intent(placement=placement, plan=decision.plan)
    return Intent(placement=placement, denied=decision.denied)


def intent_of_leaving(leaving: Leaving) -> Intent:
    """Turn a drain's decision about one placement into what is shown of it."""
    note = "" if leaving.plan or leaving.denied else "nothing to be done: it is neither home nor standby"
    return Intent(
        placement=leaving.placement,
        plan=leaving.plan,
        denied=leaving.denied,
        read_only=leaving.read_only,
        note=note,
    )


def check_choice(placement: str | None, *, every: bool) -> None:
    """Wrong usage: neither ``--placement`` nor ``--all``, or both."""
    if every == (placement is not None):
        raise click.UsageError("the command is refused: it needs --placement or --all, and one of them only")


def chosen(view: OperatorsView, placement: str | None) -> list[str]:
    """Return the placements that ``--placement``, or ``--all`` without it, mean; refuses an unknown one."""
    if placement is None:
        return sorted(view.known.placements)
    if placement not in view.known.placements:
        raise unknown_placement(placement)
    return [placement]


def carry_out(
    site: Site,
    options: Options,
    decide: Callable[[OperatorsView], list[Intent]],
    declare: Callable[[ControlStore], Any] | None = None,
) -> int:
    """Decide, show, record and wait; returns the exit code. ``declare`` is awaited before anything is recorded."""
    return run(_carry_out(site, options, decide, declare))


async def _carry_out(
    site: Site,
    options: Options,
    decide: Callable[[OperatorsView], list[Intent]],
    declare: Callable[[ControlStore], Any] | None,
) -> int:
    store = open_store(site.control)
    try:
        seen = await look(store)
        intents = decide(seen)
        if options.dry_run:
            _show(intents, [], options)
            return 1 if any(intent.refused for intent in intents) else 0
        if not options.as_json:
            _print_intents(intents)
        if declare is not None:
            await declare(store)
        intents, records = await _record(store, seen, intents, decide)
        ended = await follow(store, records, options) if options.wait else []
    finally:
        await store.close()
    if options.as_json:
        _show(intents, ended, options)
    failed = [record for record in ended if given_up(record) is not None]
    return 1 if failed or any(intent.refused for intent in intents) else 0


async def _record(
    store: ControlStore,
    seen: OperatorsView,
    intents: list[Intent],
    decide: Callable[[OperatorsView], list[Intent]],
) -> tuple[list[Intent], list[PlanRecord]]:
    """Record every plan; where an agent was faster, look and decide again: it may have done what was asked for."""
    done: list[Intent] = []
    records: list[PlanRecord] = []
    for intent in intents:
        for left in reversed(range(_TRIES)):
            if intent.plan is None:
                break
            try:
                known, name = seen.known, intent.placement
                records.append(await record_by_hand(store, known.placements[name], known.plan_of(name), intent.plan))
                break
            except TransientError as error:
                if error.denied.code != "plan_changed" or not left:
                    raise
            seen = await look(store)
            again = {each.placement: each for each in decide(seen)}
            intent = again.get(intent.placement, Intent(placement=intent.placement))
        done.append(intent)
    return done, records


def given_up(record: PlanRecord) -> str | None:
    """Say why a plan that is over was not carried out; none when it was."""
    return record.plan.abandoned.reason if record.plan is not None and record.plan.abandoned is not None else None


async def follow(store: ControlStore, records: list[PlanRecord], options: Options) -> list[PlanRecord]:
    """Wait until every plan is over, telling each action as it begins; ``not_finished`` if that takes too long."""
    until_s = time.monotonic() + options.timeout_s
    waiting = {record.plan.id: record for record in records if record.plan is not None}
    told: dict[str, str] = {}
    ended: list[PlanRecord] = []
    while waiting:
        for name, before in list(waiting.items()):
            now = what_became_of(before, await read_plan(store, before.subject))
            _tell(now, told, options)
            if now.plan is None or now.plan.current is None:
                ended.append(now)
                del waiting[name]
        if waiting and time.monotonic() >= until_s:
            open_ = ", ".join(sorted(waiting))
            raise refuse(
                "not_finished",
                f"not finished after {options.timeout_s:g} s: {open_}; the agents go on: see `intelgraph status`",
                plans=sorted(waiting),
            )
        if waiting:
            await asyncio.sleep(_LOOK_S)
    return ended


def _tell(record: PlanRecord, told: dict[str, str], options: Options) -> None:
    plan = record.plan
    assert plan is not None
    if plan.current is not None:
        line = plan.current.told
    else:
        line = given_up(record) or f"done: {plan.after.home} writes in epoch {plan.after.epoch}"
    if told.get(plan.id) != line:
        told[plan.id] = line
        if not options.as_json:
            say(f"  {plan.before.id}: {line}")


def _print_intents(intents: Iterable[Intent]) -> None:
    for intent in intents:
        say(intent_text(intent))


def intent_text(intent: Intent) -> str:
    """Say in one line what is to become of a placement."""
    if intent.plan is None:
        if intent.denied is None:
            return f"{intent.placement}: {intent.note or 'nothing to be done'}"
        consequence = " (read-only when the region stops)" if intent.read_only else ""
        return f"{intent.placement}: refused{consequence}: {intent.denied.reason}"
    before, after = intent.plan.before, intent.plan.after
    standby = f"standby {after.standby}" if after.standby else "no standby"
    what = f"{intent.plan.kind.value} from {before.home} to {after.home}"
    if intent.plan.kind is Kind.RESTAND:
        what = f"stays in {after.home}, its standby was {before.standby or 'nobody'}"
    without = f"; {intent.denied.reason}" if intent.denied else ""
    return f"{intent.placement}: {what}, epoch {after.epoch}, {standby}, {after.durability.value}{without}"


def _show(intents: list[Intent], ended: list[PlanRecord], options: Options) -> None:
    if not options.as_json:
        _print_intents(intents)
        return
    say_json({"dry_run": options.dry_run, "placements": [_value(intent) for intent in intents], "plans": ended})


def _value(intent: Intent) -> dict[str, object]:
    plan = intent.plan
    return {
        "placement": intent.placement,
        "plan": None if plan is None else plan.id,
        "kind": None if plan is None else plan.kind.value,
        "from": None if plan is None else plan.source,
        "to": None if plan is None else plan.target,
        "epoch": None if plan is None else plan.after.epoch,
        "standby": None if plan is None else plan.after.standby,
        "durability": None if plan is None else plan.after.durability.value,
        "read_only": intent.read_only,
        "denied": None if intent.denied is None else {"code": intent.denied.code, "reason": intent.denied.reason},
    }


def told_by(error: IntelGraphError) -> str:
    """The sentence of a refusal."""
    return error.denied.reason
