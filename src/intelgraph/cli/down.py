"""``intelgraph down``: stop every part of the fleet, with or without its supervisor."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import json_option, read_topology, topology_option
from intelgraph.cli.output import say, say_json
from intelgraph.fleet.layout.places import Fleet, check_may_be_wiped, locate_kept
from intelgraph.fleet.supervisor.status import Request
from intelgraph.fleet.supervisor.supervision import ask, log_path, stop_without_supervisor, the_only_one, wipe
from intelgraph.model.errors import IntelGraphError, refuse

_LOOK_S = 0.1


@click.command()
@topology_option
@click.option("--wipe", "delete", is_flag=True, help="Delete the data, logs and keys too.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    default="60s",
    show_default=True,
    help="How long to wait until all has stopped.",
)
@json_option
def command(topology: Path | None, delete: bool, yes: bool, timeout_s: float, as_json: bool) -> None:
    """Stop the fleet. Its data stays, unless --wipe, which deletes the state directory of this topology's fleet.

    A directory that was never a fleet is not deleted, nor is the fleet of another topology file.

    \b
    Examples:
      intelgraph down
      intelgraph down --wipe --yes
    """
    file = read_topology(topology)
    fleet = locate_kept(file, start=Path.cwd())
    delete = delete and fleet.state.exists()
    if delete:
        check_may_be_wiped(file, start=Path.cwd())
    if delete and not yes:
        _confirm(fleet, as_json=as_json)
    stopped = _stop(fleet, timeout_s) if fleet.id else 0
    if delete:
        wipe(fleet)
    if as_json:
        say_json({"stopped": stopped, "wiped": delete, "state": str(fleet.state)})
        return
    say(f"The fleet is stopped ({stopped} parts)." if stopped else "The fleet was not running.")
    if delete:
        say(f"{fleet.state} is deleted.")


def _confirm(fleet: Fleet, *, as_json: bool) -> None:
    """Ask a person; ``not_confirmed`` for every answer but yes, and where nobody answers."""
    try:
        confirmed = click.confirm(f"Delete all data, logs and keys in {fleet.state}?", err=as_json)
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise _not_confirmed(fleet, "nobody answered; --yes deletes without asking") from error
    if not confirmed:
        raise _not_confirmed(fleet, "it was not confirmed")


def _not_confirmed(fleet: Fleet, why: str) -> IntelGraphError:
    return refuse(
        "not_confirmed", f"nothing was stopped and nothing in {fleet.state} was deleted: {why}", state=str(fleet.state)
    )


def _stop(fleet: Fleet, timeout_s: float) -> int:
    deadline = time.monotonic() + timeout_s
    status = ask(fleet, Request(do="stop"))
    count = sum(1 for part in status.parts if part.pid) if status else 0
    while time.monotonic() < deadline:
        try:
            with the_only_one(fleet):
                return count + asyncio.run(stop_without_supervisor(fleet))
        except IntelGraphError as error:
            if error.denied.code != "already_supervised":
                raise
            ask(fleet, Request(do="stop"))  # it may not have listened yet the first time
        time.sleep(_LOOK_S)
    raise refuse(
        "not_stopped", f"the fleet has not stopped within {timeout_s:g} s; the supervisor's log is {log_path(fleet)}"
    )
