"""``intelgraph down``: stop every part of the fleet, with or without its supervisor."""

from __future__ import annotations

from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import json_option, topology_option
from intelgraph.cli.options import reason_option, run, the_actor
from intelgraph.cli.output import say, say_json
from intelgraph.model.errors import IntelGraphError, refuse
from intelgraph.operations.fleet.location import find_location
from intelgraph.operations.fleet.shutdown import bring_down, state_to_wipe


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
@reason_option
@json_option
def command(topology: Path | None, delete: bool, yes: bool, timeout_s: float, reason: str, as_json: bool) -> None:
    """Stop the fleet. Its data stays, unless --wipe, which deletes the state directory of this topology's fleet.

    A directory that was never a fleet is not deleted, nor is the fleet of another topology file.

    \b
    Examples:
      intelgraph down
      intelgraph down --wipe --yes
    """
    location = find_location(topology)
    state = state_to_wipe(location) if delete else None
    if state is not None and not yes:
        _confirm(state, as_json=as_json)
    done = run(bring_down(location, the_actor(reason), wipe=state is not None, timeout_s=timeout_s))
    if as_json:
        say_json({"stopped": done.stopped, "wiped": done.wiped, "state": str(done.state)})
        return
    say(f"The fleet is stopped ({done.stopped} parts)." if done.stopped else "The fleet was not running.")
    if done.wiped:
        say(f"{done.state} is deleted.")


def _confirm(state: Path, *, as_json: bool) -> None:
    """Ask a person; ``not_confirmed`` for every answer but yes, and where nobody answers."""
    try:
        confirmed = click.confirm(f"Delete all data, logs and keys in {state}?", err=as_json)
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise _not_confirmed(state, "nobody answered; --yes deletes without asking") from error
    if not confirmed:
        raise _not_confirmed(state, "it was not confirmed")


def _not_confirmed(state: Path, why: str) -> IntelGraphError:
    return refuse("not_confirmed", f"nothing was stopped and nothing in {state} was deleted: {why}", state=str(state))
