"""``intelgraph status``: every process, its health and memory; every region's positions and lag."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import msgspec

from intelgraph.cli.fleet_place import addresses, json_option, phase_text, the_fleet, topology_option
from intelgraph.cli.output import say, say_json, style
from intelgraph.cli.standing import Standing, print_standing, read_standing
from intelgraph.control.agent.leases.times import lease_policy
from intelgraph.fleet.composition.parts import all_parts
from intelgraph.fleet.etcd.status import ControlStatus, read_control_status
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.postgres.replication_status import RegionLog, read_region_logs
from intelgraph.fleet.supervisor.memory import part_pss_bytes
from intelgraph.fleet.supervisor.notes import read_notes
from intelgraph.fleet.supervisor.process import adopt
from intelgraph.fleet.supervisor.status import FleetStatus, PartStatus, Phase, Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.errors import IntelGraphError
from intelgraph.settings import load_control_config, load_region_config


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One part with what only this machine can tell."""

    part: PartStatus
    uptime_s: float | None
    pss_bytes: int | None


@click.command()
@topology_option
@json_option
@click.option("--quick", is_flag=True, help="Processes only: ask no database and no control store.")
def command(topology: Path | None, as_json: bool, quick: bool) -> int:
    """Show every part of the fleet; the exit code is 0 when all is well, else 1.

    All is well when every part is ready, every agent reports, every placement takes writes, and nothing is found wrong;
    notices of what is being dealt with do not count.

    \b
    Examples:
      intelgraph status
      intelgraph status --json | jq '.parts[] | select(.part.phase != "ready")'
    """
    fleet = the_fleet(topology)
    told = ask(fleet, Request(do="status"))
    status = told or _without_supervisor(fleet)
    seen = [_look(part) for part in status.parts]
    logs, control, standing = ([], None, None) if quick else _asked(fleet)
    supervisor_bytes = part_pss_bytes(status.supervisor_pid, descendants=False) if status.supervisor_pid else None
    total = sum(each.pss_bytes or 0 for each in seen) + (supervisor_bytes or 0)
    stopped = [each.placement for each in standing.placements if each.read_only] if standing else []
    is_well = status.ready and (standing is None or standing.is_well)
    if as_json:
        value = {
            "ready": is_well,
            "parts_ready": status.ready,
            "read_only": stopped,
            "supervised": told is not None,
            "supervisor_pid": status.supervisor_pid or None,
            "state": str(fleet.state),
            "addresses": addresses(fleet),
            "pss_bytes": total,
            "parts": seen,
            "steps": status.steps,
            "regions": logs,
            "control": control,
            "standing": standing,
        }
        say_json(value)
    else:
        _print(fleet, status, seen, logs, total, _headline(status, standing))
        _print_control(control)
        if standing is not None:
            print_standing(standing)
    return 0 if is_well else 1


def _asked(fleet: Fleet) -> tuple[list[RegionLog], ControlStatus | None, Standing]:
    """Ask the databases, the control store and what agents reported, all at once: one that hangs delays no other."""
    with ThreadPoolExecutor() as pool:
        logs = pool.submit(read_region_logs, fleet)
        control = pool.submit(read_control_status, fleet)
        standing = pool.submit(_standing, fleet)
        return logs.result(), control.result(), standing.result()


def _headline(status: FleetStatus, standing: Standing | None) -> str:
    """Say in a few words whether all is well, and if not, what is not."""
    wrong: list[str] = [] if status.ready else ["not every part is ready"]
    if standing is not None:
        stopped = sum(each.read_only is not None for each in standing.placements)
        wrong += ["leases and placements are not known"] if standing.refusal is not None else []
        wrong += [f"{stopped} placement{' takes' if stopped == 1 else 's take'} no writes"] if stopped else []
        wrong += [f"no report from {', '.join(standing.silent)}"] if standing.silent else []
        codes = sorted({each.code for each in standing.findings if each.counts})
        wrong += [f"found: {', '.join(codes)}"] if codes else []
    return style(f"not ready: {'; '.join(wrong)}", "red") if wrong else style("ready", "green")


def _standing(fleet: Fleet) -> Standing:
    try:
        control = load_control_config(fleet.control_config)
        lease = load_region_config(fleet.region_config(fleet.topology.regions[0].name)).lease
        return read_standing(control, lease_policy(lease))
    except IntelGraphError as error:
        return Standing(refusal=error.denied.reason)
    except OSError as error:
        told = f"how to reach the control store is not known: {fleet.control_config}: {error.strerror}"
        return Standing(refusal=f"{told}; `intelgraph up` writes it")


def _without_supervisor(fleet: Fleet) -> FleetStatus:
    notes = read_notes(fleet)
    parts = []
    for part in all_parts(fleet):
        note = notes.parts.get(part.name)
        running = adopt(note.identity) if note else None
        if running is not None:
            running.let_go()
        parts.append(
            PartStatus(
                name=part.name,
                kind=part.kind.value,
                region=part.region,
                phase=Phase.UNREADY if running else Phase.STOPPED,
                pid=note.pid if note and running else None,
                started_unix_s=note.started_unix_s if note and running else None,
                restarts=note.restarts if note else 0,
                reason="it runs without a supervisor" if running else "it does not run",
                ports=list(part.ports),
                log=str(part.log),
            )
        )
    return FleetStatus(supervisor_pid=0, plan=notes.plan, ready=False, stopping=False, adopted=0, parts=parts, steps=[])


def _look(part: PartStatus) -> Seen:
    uptime_s = max(0.0, time.time() - part.started_unix_s) if part.started_unix_s else None
    return Seen(part=part, uptime_s=uptime_s, pss_bytes=part_pss_bytes(part.pid) if part.pid else None)


def _print(
    fleet: Fleet, status: FleetStatus, seen: list[Seen], logs: list[RegionLog], total: int, headline: str
) -> None:
    supervisor = f"supervisor pid {status.supervisor_pid}" if status.supervisor_pid else "no supervisor"
    say(f"{headline}, {supervisor}, {total / 1e6:.0f} MB (PSS), state in {fleet.state}")
    say()
    say(f"{'PART':<28} {'PID':>7} {'UPTIME':>9} {'RESTARTS':>8} {'MB':>6} {'PORT':>6}  HEALTH")
    for each in seen:
        part = each.part
        uptime = _duration(each.uptime_s) if each.uptime_s is not None else "-"
        memory = f"{each.pss_bytes / 1e6:.0f}" if each.pss_bytes else "-"
        port = str(part.ports[0]) if part.ports else "-"
        why = f"  {part.reason}" if part.reason else ""
        row = f"{part.name:<28} {part.pid or '-':>7} {uptime:>9} {part.restarts:>8} {memory:>6} {port:>6}"
        say(f"{row}  {phase_text(part)}{why}")
    for step in status.steps:
        if step.phase is not Phase.DONE:
            say(f"{step.name:<28} {phase_text(step)}  {step.reason or ''}")
    for log in logs:
        say()
        say(f"{log.region}: " + (log.refusal or f"life {log.life}, settled position {log.settled}"))
        for stream in log.streams:
            lag = "unknown" if stream.echo_lag_ms is None else f"{stream.echo_lag_ms:.0f} ms"
            kept = "unknown" if stream.kept_bytes is None else f"{stream.kept_bytes / 1e6:.1f} MB"
            state = "lost" if stream.lost else "connected" if stream.active else "not connected"
            say(f"  to {stream.destination:<20} {state:<14} {kept} of log kept;  from it: echo lag {lag}")
        for one in log.subscribers:
            why = f" for {_duration((one.failing_ms or 0) / 1000)}: {one.reason}" if one.reason else ""
            state = style(one.state + why, "red") if why else one.state
            say(f"  subscriber {one.subscriber:<9} {state}, {one.lag_rows} rows and {one.lag_ms} ms behind")


def _print_control(control: ControlStatus | None) -> None:
    if control is None or not control.members:
        return
    say()
    say(f"control store: {control.kind}, " + (f"{control.leader} leads" if control.leader else "nobody leads"))
    for member in control.members:
        told = f"revision {member.revision}, term {member.term}" if member.revision is not None else ""
        size = f"{member.db_bytes / 1e6:.1f} MB" if member.db_bytes is not None else ""
        say(f"  {member.site:<23} " + ", ".join(part for part in (member.refusal, told, size) if part))
    if control.advice is not None:
        say(style(control.advice, "red"))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} m {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} m"
