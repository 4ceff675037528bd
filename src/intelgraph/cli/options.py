"""What the verbs of an operator share: which fleet is meant, who asks and why, and how a result is shown."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from intelgraph.cli.output import say, say_json, say_lines
from intelgraph.model.actor import Actor, Channel
from intelgraph.operations.operator import Operator, Step, StepKind
from intelgraph.operations.site import the_site

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def fleet_options(command: F) -> F:
    """Add the options that say which fleet is meant: ``--topology`` and ``--state``."""
    command = click.option(
        "--topology",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="INTELGRAPH_TOPOLOGY",
        help="Topology file [default: intelgraph.toml here or above, else two regions].",
    )(command)
    return click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        help="State directory [default: the topology's].",
    )(command)


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(command)


def reason_option(command: F) -> F:
    """Add ``--reason``."""
    return click.option("--reason", default="", help="Why; it is recorded with who asked.")(command)


def the_actor(reason: str = "") -> Actor:
    """Whoever runs this process."""
    try:
        subject = getpass.getuser()
    except (KeyError, OSError):  # no such user here, as in a container
        subject = f"uid {os.getuid()}"
    return Actor(subject=subject, channel=Channel.CLI, reason=reason)


def the_operator(state: Path | None, topology: Path | None, *, reason: str = "", quiet: bool = True) -> Operator:
    """Whoever runs this process, at work on the fleet that a command's options mean; unless ``quiet``, steps are shown.

    ``no_fleet`` if there is none.
    """
    site, actor = the_site(state, topology), the_actor(reason)
    return Operator(site=site, actor=actor) if quiet else Operator(site=site, actor=actor, on_step=say_step)


def say_step(step: Step) -> None:
    """Show a step to people, an action below what it belongs to."""
    say(f"{'  ' if step.kind is StepKind.BEGUN else ''}{step.about}: {step.text}")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part to its end."""
    return asyncio.run(work)


def show(value: object, text: str | Iterable[str], *, as_json: bool) -> None:
    """Print a command's result, as JSON or as a line, or lines, for people."""
    if as_json:
        say_json(value)
    else:
        say_lines([text] if isinstance(text, str) else text)
