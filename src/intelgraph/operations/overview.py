"""The status overview: every process, every region's log, the control store, leases and placements, in one value.

Each source is asked at once with the others, and takes some seconds at most; what one of them cannot tell is a
``refusal`` in its place, never an error of the whole. It works without a supervisor too, from what the last one noted.
"""

from __future__ import annotations

import asyncio
import time

import msgspec

from intelgraph.control.agent.leases.times import lease_policy
from intelgraph.fleet.composition.parts import all_parts
from intelgraph.fleet.etcd.control_status import read_control_status
from intelgraph.fleet.etcd.status import ControlStatus
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.postgres.replication_status import RegionLog, read_region_logs
from intelgraph.fleet.supervisor.memory import part_pss_bytes
from intelgraph.fleet.supervisor.notes import read_notes
from intelgraph.fleet.supervisor.process import adopt
from intelgraph.fleet.supervisor.status import FleetStatus, PartStatus, Phase, Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.errors import IntelGraphError
from intelgraph.operations.edges import addresses
from intelgraph.operations.standing import Standing, read_standing
from intelgraph.settings import load_control_config, load_region_config


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One part with what only this machine can tell."""

    part: PartStatus
    uptime_s: float | None
    pss_bytes: int | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The whole fleet. ``ready``: all is well. ``control`` and ``standing`` are absent of a quick one."""

    ready: bool
    parts_ready: bool
    read_only: list[str]
    """The placements that take no writes."""
    supervised: bool
    supervisor_pid: int | None
    state: str
    addresses: dict[str, str]
    pss_bytes: int
    parts: list[Seen]
    steps: list[PartStatus]
    regions: list[RegionLog]
    control: ControlStatus | None
    standing: Standing | None

    @property
    def wrong(self) -> list[str]:
        """What is not well, in a few words each; nothing when all is."""
        wrong: list[str] = [] if self.parts_ready else ["not every part is ready"]
        if self.standing is not None:
            stopped = len(self.read_only)
            wrong += ["leases and placements are not known"] if self.standing.refusal is not None else []
            wrong += [f"{stopped} placement{' takes' if stopped == 1 else 's take'} no writes"] if stopped else []
            wrong += [f"no report from {', '.join(self.standing.silent)}"] if self.standing.silent else []
            codes = sorted({each.code for each in self.standing.findings if each.counts})
            wrong += [f"found: {', '.join(codes)}"] if codes else []
        return wrong


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of others than the supervisor; nothing of a quick overview."""

    logs: list[RegionLog] = []
    control: ControlStatus | None = None
    standing: Standing | None = None


async def read_overview(fleet: Fleet, *, quick: bool = False) -> Overview:
    """Put the overview together. ``quick``: processes only; no database and no control store is asked."""
    told = await asyncio.to_thread(ask, fleet, Request(do="status"))
    status = told or _without_supervisor(fleet)
    seen = [_measured(part) for part in status.parts]
    supervisor_bytes = part_pss_bytes(status.supervisor_pid, descendants=False) if status.supervisor_pid else None
    sources = Sources() if quick else await ask_all(fleet)
    return overview_of(
        fleet,
        status,
        seen,
        sources,
        supervised=told is not None,
        pss_bytes=sum(each.pss_bytes or 0 for each in seen) + (supervisor_bytes or 0),
    )


async def ask_all(fleet: Fleet) -> Sources:
    """Ask the databases, the control store and what agents reported, all at once: one that hangs delays no other."""
    logs, control, standing = await asyncio.gather(
        asyncio.to_thread(read_region_logs, fleet),
        asyncio.to_thread(read_control_status, fleet),
        _standing(fleet),
    )
    return Sources(logs=logs, control=control, standing=standing)


def overview_of(
    fleet: Fleet, status: FleetStatus, seen: list[Seen], sources: Sources, *, supervised: bool, pss_bytes: int
) -> Overview:
    """Put together what was told. Pure."""
    standing = sources.standing
    return Overview(
        ready=status.ready and (standing is None or standing.is_well),
        parts_ready=status.ready,
        read_only=[each.placement for each in standing.placements if each.read_only] if standing else [],
        supervised=supervised,
        supervisor_pid=status.supervisor_pid or None,
        state=str(fleet.state),
        addresses=addresses(fleet),
        pss_bytes=pss_bytes,
        parts=seen,
        steps=status.steps,
        regions=sources.logs,
        control=sources.control,
        standing=standing,
    )


async def _standing(fleet: Fleet) -> Standing:
    try:
        control = load_control_config(fleet.control_config)
        lease = load_region_config(fleet.region_config(fleet.topology.regions[0].name)).lease
        return await read_standing(control, lease_policy(lease))
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


def _measured(part: PartStatus) -> Seen:
    uptime_s = max(0.0, time.time() - part.started_unix_s) if part.started_unix_s else None
    return Seen(part=part, uptime_s=uptime_s, pss_bytes=part_pss_bytes(part.pid) if part.pid else None)
