"""Where a fleet keeps things: the state directory's layout, its ports, and the short paths of its sockets.

Under the state directory, ``regions/<region>/`` holds everything that may contain that region's tenants' data and is
written by that region's own processes alone; ``fleet/`` holds what is common and free of tenants' data: keys, settings,
the control store's file, the supervisor's notes; ``witness/`` holds the witness's part of etcd.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from intelgraph.fleet.layout import chosen_control
from intelgraph.fleet.layout.binaries import ROOT_STATE, can_reach, server_account
from intelgraph.fleet.layout.kept import Kept, belongs_to, kept_path, read_kept, render
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.fleet.layout.topology import (
    WITNESS,
    Control,
    ControlKind,
    Topology,
    fixed_ports,
    port_conflicts,
    port_names,
)
from intelgraph.fleet.layout.topology_file import TopologyFile
from intelgraph.model.errors import refuse
from intelgraph.runtime.file_lock import locked
from intelgraph.runtime.whole_file import write_whole

STATE_NAME = ".intelgraph"
_OURS = frozenset({"fleet", "regions", WITNESS, "run", "lost+found"})
"""What may be in a state directory before there is a fleet: an ``up`` that was stopped, a file system of its own."""
_SHORT = Path("/tmp")  # noqa: S108 - its owner is looked at; TMPDIR is not the same for everybody who asks
_SOCKET_PATH_BYTES_MAX = 100
_NAME_LENGTH_MAX = 24


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A topology with its place on this machine. ``id`` marks the processes that belong to it."""

    topology: Topology
    state: Path
    run: Path
    ports: Mapping[str, int]
    id: str

    @property
    def common(self) -> Path:
        """The directory of what belongs to no region."""
        return self.state / "fleet"

    @property
    def control(self) -> Path:
        """The control store's file, where it is SQLite's."""
        return self.common / "control.db"

    @property
    def control_config(self) -> Path:
        """How operator commands reach the control store."""
        return self.common / "control.json"

    @property
    def etcd_peers_config(self) -> Path:
        """The settings file of the ways between etcd's members."""
        return self.common / "wan" / "etcd-peers.json"

    @property
    def witness_config(self) -> Path:
        """The settings file that the witness's processes read."""
        return self.common / "witness.json"

    @property
    def issuer(self) -> Path:
        """The directory of the local token issuer's keys."""
        return self.common / "issuer"

    @property
    def common_logs(self) -> Path:
        """The logs of the parts that belong to no region."""
        return self.common / "log"

    @property
    def supervisor_socket(self) -> Path:
        """Where the supervisor answers."""
        return self.run / "supervisor.sock"

    def region(self, region: str) -> Path:
        """A region's directory."""
        return self.state / "regions" / region

    def site(self, site: str) -> Path:
        """A region's directory, or the witness's."""
        return self.state / WITNESS if site == WITNESS else self.region(site)

    def etcd_data(self, site: str) -> Path:
        """What the site's member of etcd keeps: names and numbers, no tenant's data."""
        return self.site(site) / "etcd"

    def region_config(self, region: str) -> Path:
        """The settings file that a region's processes read."""
        return self.region(region) / "region.json"

    def logs(self, region: str | None) -> Path:
        """The directory of a site's logs, or of the common ones for ``None``."""
        return self.common_logs if region is None else self.site(region) / "log"

    def wan_socket(self, link: str) -> Path:
        """Where the relay of a link is controlled."""
        return self.run / f"wan-{hashlib.sha256(link.encode()).hexdigest()[:12]}.sock"

    def edge_config(self, region: str | None) -> Path:
        """Envoy's settings for a region's edge, or for the global one."""
        return (self.common if region is None else self.region(region)) / "edge.json"

    def edge_admin_socket(self, region: str | None) -> Path:
        """Where an edge's own administration answers."""
        return self.run / f"edge-{hashlib.sha256((region or '').encode()).hexdigest()[:12]}.sock"

    def agent_socket(self, region: str) -> Path:
        """Where a region's agent answers its doors."""
        return self.run / f"agent-{hashlib.sha256(region.encode()).hexdigest()[:12]}.sock"


def state_directory(file: TopologyFile, *, start: Path) -> Path:
    """Where the fleet of this file keeps its state; for root, a place that PostgreSQL's account can reach."""
    account = server_account()
    if file.state is not None:
        if not can_reach(file.state, account):
            name = account.name if account else "this account"
            raise refuse(
                "state_not_reachable",
                f"the state directory {file.state} is refused: PostgreSQL runs as {name}, which cannot enter it",
            )
        return file.state
    checkout = (file.path.absolute().parent if file.path else start.absolute()).resolve()
    if account is None or can_reach(checkout / STATE_NAME, account):
        return checkout / STATE_NAME
    return ROOT_STATE / _name_of(checkout)


def _name_of(checkout: Path) -> str:
    """A name that no other checkout's state has, and that people recognise."""
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", checkout.name)[:_NAME_LENGTH_MAX]
    return f"{readable or 'root'}-{hashlib.sha256(os.fsencode(checkout)).hexdigest()[:8]}"


def locate(file: TopologyFile, *, start: Path) -> Fleet:
    """The fleet of a topology file, without creating anything; its ports are known once it has been ``settle``d.

    Refuses with ``topology_changed`` a file that names what the fleet never had.
    """
    state = state_directory(file, start=start)
    kept = read_kept(state)
    topology = chosen_control.as_kept(file.topology, _kept_control(kept, state))
    known = {**(kept.ports if kept else {}), **fixed_ports(topology)}
    ports = {name: known[name] for name in port_names(topology) if name in known}
    if kept is not None:
        _refuse_what_has_no_port(topology, ports, state)
    return Fleet(topology=topology, state=state, run=_run_directory(state), ports=ports, id=kept.id if kept else "")


def locate_kept(file: TopologyFile, *, start: Path) -> Fleet:
    """The fleet as far as it says itself what it is: enough to stop and delete it, whatever the file now names."""
    state = state_directory(file, start=start)
    kept = read_kept(state)
    ports = kept.ports if kept else {}
    return Fleet(
        topology=file.topology, state=state, run=_run_directory(state), ports=ports, id=kept.id if kept else ""
    )


def _refuse_what_has_no_port(topology: Topology, ports: Mapping[str, int], state: Path) -> None:
    missing = [name for name in port_names(topology) if name not in ports]
    if missing:
        new = [region.name for region in topology.regions if f"{region.name}/postgres" in missing]
        raise refuse(
            "topology_changed",
            f"the topology is refused: it names {', '.join(new or missing)}, which the fleet in {state} never had a "
            "port for; `intelgraph down`, then `intelgraph up`, brings it up as the file now says",
            new=new or missing,
        )


def check_may_be_wiped(file: TopologyFile, *, start: Path) -> None:
    """Refuse to delete what was never a fleet (``not_a_fleet``), and another topology's fleet (``not_our_fleet``)."""
    state, mine = state_directory(file, start=start), _whose(file, start)
    kept = read_kept(state)
    if kept is None:
        raise refuse(
            "not_a_fleet",
            f"{state} is not deleted: no fleet was ever brought up there ({kept_path(state)} is missing)",
            state=str(state),
        )
    if not belongs_to(kept, mine):
        raise refuse(
            "not_our_fleet",
            f"{state} is not deleted: the fleet there was brought up from {kept.topology}, and this is {mine}; "
            "`intelgraph down --wipe` deletes it from there",
            state=str(state),
            whose=str(kept.topology),
            ours=str(mine),
        )


def settle(file: TopologyFile, *, start: Path, control: ControlKind | None = None) -> Fleet:
    """Create the fleet's directories, choose the control store and the ports that are open, and keep the choice."""
    state = state_directory(file, start=start)
    _refuse_what_is_somebodys(state)
    _create_directories(state, file.topology)
    with locked(state / "fleet" / "settle.lock", wait=True):
        kept = read_kept(state)
        topology = chosen_control.choose(
            file.topology, kept=_kept_control(kept, state), has_data=_has_control_data(state), asked=control
        )
        mine = _whose(file, start)
        if kept is None:
            kept = Kept(id=str(uuid.uuid4()))
        return _settle(topology, replace(kept, topology=mine if belongs_to(kept, mine) else kept.topology), state)


def _refuse_what_is_somebodys(state: Path) -> None:
    """Refuse with ``state_not_empty`` a directory with other things in it: its mode is set, a wipe deletes it all."""
    if kept_path(state).exists() or not state.is_dir():
        return
    strange = sorted({entry.name for entry in state.iterdir()} - _OURS)
    if strange:
        shown = ", ".join(strange[:3]) + (f" and {len(strange) - 3} more" if len(strange) > 3 else "")
        raise refuse(
            "state_not_empty",
            f"the state directory {state} is refused: it is no fleet's and holds {shown}; a fleet's is its alone, and "
            "`intelgraph down --wipe` deletes all of it: name one that is empty or not there yet",
            state=str(state),
        )


def _settle(topology: Topology, kept: Kept, state: Path) -> Fleet:
    names = port_names(topology)
    ports = {name: port for name, port in {**kept.ports, **fixed_ports(topology)}.items() if name in names}
    missing = [name for name in names if name not in ports]
    ports.update(zip(missing, free_ports(len(missing), taken=frozenset(ports.values())), strict=True))
    conflicts = port_conflicts(ports)
    if conflicts:
        raise refuse("bad_topology", f"the topology is refused: {'; '.join(conflicts)}", mistakes=conflicts)
    chosen = {name: ports[name] for name in names} if topology.base_port is None else {}
    write_whole(kept_path(state), render(replace(kept, control=topology.control, ports=chosen)))
    run = _run_directory(state)
    _create_private(run)
    return Fleet(topology=topology, state=state, run=run, ports=ports, id=kept.id)


def _whose(file: TopologyFile, start: Path) -> Path:
    """What tells one checkout's fleet from another's: the topology's file, or the directory where there is none."""
    return (file.path or start).resolve()


def _kept_control(kept: Kept | None, state: Path) -> Control | None:
    if kept is not None and kept.control is not None:
        return kept.control
    return Control() if (state / "fleet" / "control.db").exists() else None


def _has_control_data(state: Path) -> bool:
    """Whether there is a control store that may hold placements."""
    founded = (state / WITNESS / "etcd").exists() or any(state.glob("regions/*/etcd"))
    return founded or (state / "fleet" / "control.db").exists()


def _create_directories(state: Path, topology: Topology) -> None:
    # PostgreSQL's account passes through some of these on its way to its own directory; it can list none of them.
    passage = 0o711 if server_account() is not None else 0o700
    passages = [state, state / "regions", *(state / "regions" / region.name for region in topology.regions)]
    if state.parent == ROOT_STATE:
        passages.insert(0, ROOT_STATE)
    for directory in passages:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(passage)
    private = [state / "fleet", state / "fleet" / "log", state / "fleet" / "issuer", state / WITNESS]
    private.append(state / WITNESS / "log")
    for directory in (*private, *(state / "regions" / region.name / "log" for region in topology.regions)):
        _create_private(directory)


def _create_private(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise refuse("directory_not_ours", f"the directory {directory} is refused: it belongs to another account")
    directory.chmod(0o700)


def _run_directory(state: Path) -> Path:
    """``run`` under the state directory, or a short stand-in where a socket's path would be too long."""
    run = state / "run"
    if len(os.fsencode(run)) + 30 <= _SOCKET_PATH_BYTES_MAX:
        return run
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    return _SHORT / f"intelgraph-{os.geteuid()}-{digest}"
