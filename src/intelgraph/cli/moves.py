"""What the verbs that move placements share: their options, and how what came of it is shown.

A command that is interrupted takes nothing back: the agents carry the plans out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.output import say, say_json
from intelgraph.operations.moves import Intent, Moved

F = TypeVar("F", bound=Callable[..., Any])


def move_options(command: F) -> F:
    """Add ``--dry-run``, ``--wait``, ``--timeout`` and ``--json``."""
    command = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(command)
    command = click.option(
        "--timeout", "timeout_s", type=Duration(), default="30s", show_default=True, help="How long to wait."
    )(command)
    command = click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it is done.")(command)
    return click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")(command)


def check_choice(placement: str | None, *, every: bool) -> None:
    """Wrong usage: neither ``--placement`` nor ``--all``, or both."""
    if every == (placement is not None):
        raise click.UsageError("the command is refused: it needs --placement or --all, and one of them only")


def show_moved(moved: Moved, *, as_json: bool) -> int:
    """Show what came of it (its steps have been shown as they came); returns the exit code."""
    if as_json:
        intents = [_value(intent) for intent in moved.intents]
        say_json({"dry_run": moved.dry_run, "placements": intents, "plans": moved.plans})
    elif moved.dry_run:
        for intent in moved.intents:
            say(intent.text)
    return 0 if moved.complete else 1


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
