"""``intelgraph up``: bring the fleet up, or take over one whose supervisor has died."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import click

from intelgraph.cli.duration import Duration
from intelgraph.cli.fleet_place import (
    address_lines,
    json_option,
    not_ready,
    phase_text,
    read_topology,
    topology_option,
)
from intelgraph.cli.output import say, say_json, say_lines, style
from intelgraph.fleet.composition.region_files import prepare_servers, write_files
from intelgraph.fleet.layout.places import Fleet, settle
from intelgraph.fleet.layout.topology import ControlKind
from intelgraph.fleet.supervisor.log_files import last_lines
from intelgraph.fleet.supervisor.notes import plan_digest
from intelgraph.fleet.supervisor.status import FleetStatus, PartStatus, Phase, Request
from intelgraph.fleet.supervisor.supervision import ask, log_path, spawn, the_only_one, told_refusal
from intelgraph.fleet.supervisor.supervisor import Supervisor
from intelgraph.model.errors import refuse
from intelgraph.operations.edges import addresses

_LOOK_S = 0.1


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
@json_option
def command(topology: Path | None, control: str | None, foreground: bool, timeout_s: float, as_json: bool) -> None:
    """Bring the fleet up and return when it is ready.

    What still runs is taken over, the rest is started. Killing the supervisor stops nothing; `up` again takes over.

    \b
    Examples:
      intelgraph up
      intelgraph up --foreground
      intelgraph up --topology four-regions.toml --timeout 2m
      intelgraph up --control etcd
    """
    file = read_topology(topology)
    fleet = settle(file, start=Path.cwd(), control=ControlKind(control) if control else None)
    already = ask(fleet, Request(do="status"))
    if already is not None:
        _refuse_another_plan(fleet, already)
        if foreground:
            raise refuse(
                "already_up",
                f"the fleet in {fleet.state} runs in the background already (pid {already.supervisor_pid})",
            )
        status = already if already.ready else _until_ready(fleet, None, timeout_s, quiet=as_json)
        _finish(fleet, status, as_json=as_json, already=already.ready)
        return
    if foreground:
        with the_only_one(fleet):
            prepare_servers(fleet)
            write_files(fleet)
            asyncio.run(_stay(fleet))
        return
    supervisor = spawn(fleet, topology=file.path, start=Path.cwd())
    try:
        status = _until_ready(fleet, supervisor, timeout_s, quiet=as_json)
    except KeyboardInterrupt:
        say("The fleet goes on starting in the background; `intelgraph down` stops it.", err=True)
        raise
    _finish(fleet, status, as_json=as_json, already=False)


def _refuse_another_plan(fleet: Fleet, status: FleetStatus) -> None:
    if status.stopping:
        raise refuse("stopping", f"the fleet in {fleet.state} is being stopped; try again when `down` has returned")
    if status.plan != plan_digest(fleet):
        raise refuse(
            "topology_changed",
            f"the fleet in {fleet.state} runs another topology than the file now says: `intelgraph down` first",
        )


def _until_ready(
    fleet: Fleet, supervisor: subprocess.Popen[bytes] | None, timeout_s: float, *, quiet: bool
) -> FleetStatus:
    deadline = time.monotonic() + timeout_s
    tell = _teller(time.monotonic(), quiet=quiet)
    last: FleetStatus | None = None
    while time.monotonic() < deadline:
        status = ask(fleet, Request(do="status"))
        if status is not None:
            last = status
            tell(status)
            if status.ready:
                return status
            _stop_at_refusal(status)
        elif supervisor is None or supervisor.poll() is not None:
            code, reason = told_refusal(fleet)
            if code != "already_supervised" or supervisor is None:
                raise refuse(code, reason)  # else another `up` was faster: its supervisor will answer
        time.sleep(_LOOK_S)
    if last is None:
        raise refuse("not_ready", f"the supervisor has not answered for {timeout_s:g} s; its log is {log_path(fleet)}")
    waiting = not_ready(last)
    if not quiet:
        say_lines((line for part in waiting for line in _why(part)), err=True)
    raise refuse(
        "not_ready",
        f"not all is ready after {timeout_s:g} s: {', '.join(part.name for part in waiting)}; "
        "the fleet goes on trying; `intelgraph status` and `intelgraph logs` tell more",
        parts=[part.name for part in waiting],
    )


def _stop_at_refusal(status: FleetStatus) -> None:
    refused = [step for step in status.steps if step.phase is Phase.REFUSED]
    if refused:
        told = "; ".join(sorted(step.reason or step.name for step in refused))
        raise refuse("cannot_be_ready", told, parts=[step.name for step in refused])


def _why(part: PartStatus) -> list[str]:
    lines = [f"  {part.name} is {part.phase.value}" + (f": {part.reason}" if part.reason else "")]
    if part.log and part.phase in (Phase.BACKING_OFF, Phase.STARTING, Phase.UNREADY):
        lines += [f"    | {line[:200]}" for line in last_lines(Path(part.log), 4)]
    return lines


def _teller(began: float, *, quiet: bool) -> Callable[[FleetStatus], None]:
    told: dict[str, Phase] = {}

    def tell(status: FleetStatus) -> None:
        for part in (*status.parts, *status.steps):
            finished = part.phase in (Phase.READY, Phase.DONE)
            news = finished or part.phase in (Phase.BACKING_OFF, Phase.UNREADY, Phase.REFUSED)
            if not quiet and news and told.get(part.name) is not part.phase:
                after_s = f"{time.monotonic() - began:5.1f} s"
                why = f"  {part.reason}" if part.reason else ""
                say(f"{style(after_s, 'dim')}  {part.name:<28} {phase_text(part)}{why}")
                told[part.name] = part.phase

    return tell


def _finish(fleet: Fleet, status: FleetStatus, *, as_json: bool, already: bool) -> None:
    if as_json:
        told = {"ready": status.ready, "already_running": already, "addresses": addresses(fleet)}
        say_json({**told, "state": str(fleet.state), "supervisor_pid": status.supervisor_pid})
        return
    adopted = f" ({status.adopted} parts taken over)" if status.adopted and not already else ""
    say(("The fleet is running already." if already else f"The fleet is up{adopted}.") + " It answers at")
    for line in address_lines(fleet):
        say(line)
    say(f"Data and logs are in {fleet.state}. `intelgraph down` stops it.")


async def _stay(fleet: Fleet) -> None:
    tell = _teller(time.monotonic(), quiet=False)
    greeted = False

    def on_change() -> None:
        nonlocal greeted
        status = supervisor.status()
        tell(status)
        if status.ready and not greeted:
            greeted = True
            say("The fleet is up; Ctrl-C stops it. It answers at")
            for line in address_lines(fleet):
                say(line)

    supervisor = Supervisor(fleet, on_change=on_change)
    await supervisor.run()
    say("The fleet is stopped.")
