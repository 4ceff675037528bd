"""``intelgraph up``: bring the fleet up, or take over one whose supervisor has died."""

from __future__ import annotations

import time
from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import address_lines, json_option, phase_text, topology_option
from intelgraph.cli.options import reason_option, run, the_actor
from intelgraph.cli.output import flush, say, say_json, say_lines, style
from intelgraph.fleet.layout.topology import ControlKind
from intelgraph.fleet.supervisor.log_files import last_lines
from intelgraph.fleet.supervisor.status import FleetStatus, PartStatus, Phase
from intelgraph.model.actor import Actor
from intelgraph.model.errors import IntelGraphError
from intelgraph.operations.edges import addresses
from intelgraph.operations.fleet.location import FleetLocation, find_location
from intelgraph.operations.fleet.startup import BroughtUp, bring_up, not_ready, stay_up
from intelgraph.operations.operator import Step


@click.command()
@topology_option
@click.option(
    "--control",
    type=click.Choice([kind.value for kind in ControlKind]),
    help="What the control store stands on: a file, or etcd in two regions and at a witness. Kept with the fleet.",
)
@click.option("--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C stops the fleet.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    default="90s",
    show_default=True,
    help="How long to wait until all is ready.",
)
@reason_option
@json_option
def command(
    topology: Path | None, control: str | None, foreground: bool, timeout_s: float, reason: str, as_json: bool
) -> None:
    """Bring the fleet up and return when it is ready.

    What still runs is taken over, the rest is started. Killing the supervisor stops nothing; `up` again takes over.

    \b
    Examples:
      intelgraph up
      intelgraph up --foreground
      intelgraph up --topology four-regions.toml --timeout 2m
      intelgraph up --control etcd
    """
    location, actor = find_location(topology), the_actor(reason)
    kind = ControlKind(control) if control else None
    if foreground:
        _stay(location, actor, kind, as_json=as_json)
        return
    shown, begun = _Shown(quiet=as_json), list[Step]()
    work = bring_up(location, actor, control=kind, timeout_s=timeout_s, on_step=begun.append, on_status=shown.show)
    try:
        done = run(work)
    except KeyboardInterrupt:
        if begun:
            say("The fleet goes on starting in the background; `intelgraph down` stops it.", err=True)
        raise
    except IntelGraphError as error:
        if error.denied.code == "not_ready":
            shown.show_what_waits()
        raise
    _finish(done, as_json=as_json)


class _Shown:
    """What is shown while the fleet starts: each part as it becomes ready, or does not."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._began_s = time.monotonic()
        self._phases: dict[str, Phase] = {}
        self._last: FleetStatus | None = None

    def show(self, status: FleetStatus) -> None:
        """Show what is new."""
        self._last = status
        for part in (*status.parts, *status.steps):
            finished = part.phase in (Phase.READY, Phase.DONE)
            news = finished or part.phase in (Phase.BACKING_OFF, Phase.UNREADY, Phase.REFUSED)
            if not self._quiet and news and self._phases.get(part.name) is not part.phase:
                after_s = f"{time.monotonic() - self._began_s:5.1f} s"
                why = f"  {part.reason}" if part.reason else ""
                say(f"{style(after_s, 'dim')}  {part.name:<28} {phase_text(part)}{why}")
                self._phases[part.name] = part.phase

    def show_what_waits(self) -> None:
        """Show what is not ready, and the last lines of its log."""
        if self._last is not None and not self._quiet:
            say_lines((line for part in not_ready(self._last) for line in _why(part)), err=True)


def _why(part: PartStatus) -> list[str]:
    lines = [f"  {part.name} is {part.phase.value}" + (f": {part.reason}" if part.reason else "")]
    if part.log and part.phase in (Phase.BACKING_OFF, Phase.STARTING, Phase.UNREADY):
        lines += [f"    | {line[:200]}" for line in last_lines(Path(part.log), 4)]
    return lines


def _finish(done: BroughtUp, *, as_json: bool) -> None:
    fleet, status = done.fleet, done.status
    if as_json:
        told = {"ready": status.ready, "already_running": done.already, "addresses": addresses(fleet)}
        say_json({**told, "state": str(fleet.state), "supervisor_pid": status.supervisor_pid})
        return
    adopted = f" ({status.adopted} parts taken over)" if status.adopted and not done.already else ""
    say(("The fleet is running already." if done.already else f"The fleet is up{adopted}.") + " It answers at")
    for line in address_lines(fleet):
        say(line)
    say(f"Data and logs are in {fleet.state}. `intelgraph down` stops it.")


def _stay(location: FleetLocation, actor: Actor, control: ControlKind | None, *, as_json: bool) -> None:
    shown, greeted = _Shown(quiet=as_json), False

    def on_status(status: FleetStatus) -> None:
        nonlocal greeted
        shown.show(status)
        if status.ready and not greeted:
            greeted = True
            if as_json:
                _finish(BroughtUp(fleet=location.fleet(), status=status, already=False), as_json=True)
                flush()
                return
            say("The fleet is up; Ctrl-C stops it. It answers at")
            for line in address_lines(location.fleet()):
                say(line)

    stay_up(location, actor, control=control, on_status=on_status)
    if not as_json:
        say("The fleet is stopped.")
