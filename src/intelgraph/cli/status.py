"""``intelgraph status``: every process, its health and memory; every region's positions and lag."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from intelgraph.cli.fleet_place import json_option, phase_text, topology_option
from intelgraph.cli.output import say, say_json, style
from intelgraph.fleet.etcd.status import ControlStatus
from intelgraph.fleet.postgres.replication_status import RegionLog
from intelgraph.fleet.supervisor.status import Phase
from intelgraph.operations.fleet.location import find_fleet
from intelgraph.operations.overview import Overview, Seen, read_overview
from intelgraph.operations.standing import LeaseLine, PlacementLine, Standing


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
    overview = asyncio.run(read_overview(find_fleet(topology), quick=quick))
    if as_json:
        say_json(overview)
    else:
        _print(overview)
    return 0 if overview.ready else 1


def _print(overview: Overview) -> None:
    supervisor = f"supervisor pid {overview.supervisor_pid}" if overview.supervisor_pid else "no supervisor"
    say(f"{_headline(overview)}, {supervisor}, {overview.pss_bytes / 1e6:.0f} MB (PSS), state in {overview.state}")
    say()
    say(f"{'PART':<28} {'PID':>7} {'UPTIME':>9} {'RESTARTS':>8} {'MB':>6} {'PORT':>6}  HEALTH")
    for seen in overview.parts:
        _print_part(seen)
    for step in overview.steps:
        if step.phase is not Phase.DONE:
            say(f"{step.name:<28} {phase_text(step)}  {step.reason or ''}")
    for log in overview.regions:
        _print_log(log)
    _print_control(overview.control)
    if overview.standing is not None:
        _print_standing(overview.standing)


def _headline(overview: Overview) -> str:
    """Say in a few words whether all is well, and if not, what is not."""
    wrong = overview.wrong
    return style(f"not ready: {'; '.join(wrong)}", "red") if wrong else style("ready", "green")


def _print_part(seen: Seen) -> None:
    part = seen.part
    uptime = _duration(seen.uptime_s) if seen.uptime_s is not None else "-"
    memory = f"{seen.pss_bytes / 1e6:.0f}" if seen.pss_bytes else "-"
    port = str(part.ports[0]) if part.ports else "-"
    why = f"  {part.reason}" if part.reason else ""
    row = f"{part.name:<28} {part.pid or '-':>7} {uptime:>9} {part.restarts:>8} {memory:>6} {port:>6}"
    say(f"{row}  {phase_text(part)}{why}")


def _print_log(log: RegionLog) -> None:
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


def _print_standing(standing: Standing) -> None:
    if standing.refusal is not None:
        say()
        say(f"leases and placements are not known: {standing.refusal}")
        return
    say()
    for lease in standing.leases:
        say(_lease_text(lease, standing))
    for placement in standing.placements:
        say(_placement_text(placement))
    for silent in standing.silent:
        word = style("silent", "red")
        say(f"{word}: the agent of {silent} reports nothing; does {silent}/agent run?")
    for finding in standing.findings:
        word = style(finding.code, "red" if finding.counts else "yellow")
        say(f"{word} ({finding.about}, says {finding.vantage}): {finding.reason}")


def _lease_text(lease: LeaseLine, standing: Standing) -> str:
    word = style("held", "green") if lease.held else style("over", "red")
    watched = ", ".join(f"{name} {still_s:.1f} s" for name, still_s in lease.still_s.items()) or "nobody"
    drained = f"; drained: {standing.drained_why.get(lease.region, '')}" if lease.region in standing.drained else ""
    return f"lease of {lease.region:<20} {word}, last raised as seen by: {watched}{drained}"


def _placement_text(line: PlacementLine) -> str:
    durability = line.durability
    if line.degraded:
        durability += style(f" (declared {line.declared_durability}: degraded)", "yellow")
    away = f" (declared {line.declared_home}: `intelgraph failback`)" if line.home != line.declared_home else ""
    state = style(f"read-only: {line.read_only}", "red") if line.read_only else "takes writes"
    turn = f"; plan {line.plan}: {line.turn}" if line.plan else ""
    return (
        f"placement {line.placement:<16} epoch {line.epoch}, home {line.home}{away}, "
        f"{f'standby {line.standby}' if line.standby else 'no standby'}, {durability}; {state}{turn}"
    )


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} m {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} m"
