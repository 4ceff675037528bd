"""The members of etcd: how each is run, and how each site reaches them.

A member listens on loopback alone. To the others it is known by one name, ``SITE.intelgraph.invalid``, which no
resolver knows: each member is told (``HTTP_PROXY``, a SOCKS 5 address) to go through its own site's way out
(`peers`), which leads to the relay of the link between the two sites. So every ordered pair of members has a path
of its own that can be slowed and cut, although etcd allows a member one address for all. Where sites have real
networks, real names take the place of these, and no proxy is needed.

Nobody logs in to etcd: whoever may open connections on this machine may read and write the control store. Elsewhere,
give it certificates (``deploy/``); it holds names, numbers and the keys of row digests, and no tenant's data.
"""

from __future__ import annotations

from dataclasses import dataclass

from intelgraph.fleet.layout.binaries import etcd_program
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import WITNESS, Topology, wan_port
from intelgraph.model.errors import refuse
from intelgraph.settings import ControlConfig, EtcdControl, SqliteControl

_PEER_PORT = 2380
_DOMAIN = "intelgraph.invalid"


@dataclass(frozen=True, kw_only=True)
class EtcdPolicy:
    """How the members are set. The reasons are etcd's own advice (etcd.io/docs/v3.4/tuning, .../op-guide/maintenance).

    A leader's heartbeat is about the longest round trip between members; an election waits ten heartbeats. Revisions
    are compacted, since leases and reports are written each second; what is kept is three times the ten minutes after
    which a watch is told how far there was nothing. Their pages are used again, so that the file stops growing and need
    not be defragmented: measured, 1,050 bytes for a revision of 800. A full quota would end all writing.
    """

    heartbeat_ms_min: int = 100
    heartbeats_per_election: int = 10
    heartbeat_per_round_trip: float = 1.25
    compaction_min: int = 30
    quota_bytes: int = 1 << 30
    snapshot_count: int = 5_000
    """Entries between snapshots: what is kept in memory for a member that lags."""

    def heartbeat_ms(self, round_trip_ms: float) -> int:
        """How often the leader is heard, in ms."""
        return max(self.heartbeat_ms_min, round(self.heartbeat_per_round_trip * round_trip_ms))


def host(site: str) -> str:
    """The name by which a site's member is known to the others."""
    return f"{site}.{_DOMAIN}"


def check_program(fleet: Fleet) -> None:
    """Refuse with ``no_etcd`` where the fleet has members and there is no program to run them."""
    if fleet.topology.control.voters and etcd_program() is None:
        raise refuse("no_etcd", "etcd is not found: `make etcd` gets it, or install etcd 3.4 or later on the PATH")


def command(fleet: Fleet, site: str, policy: EtcdPolicy | None = None) -> tuple[str, ...]:
    """Return how the site's member is started."""
    policy = policy or EtcdPolicy()
    heartbeat_ms = policy.heartbeat_ms(_round_trip_ms(fleet.topology))
    client, peer = (f"http://127.0.0.1:{fleet.ports[f'{site}/{part}']}" for part in ("etcd", "etcd-peer"))
    cluster = ",".join(f"{voter}={_peer_url(voter)}" for voter in fleet.topology.control.voters)
    return (
        str(etcd_program() or "etcd"),
        f"--name={site}",
        f"--data-dir={fleet.etcd_data(site)}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={_peer_url(site)}",
        f"--initial-cluster={cluster}",
        f"--initial-cluster-token={fleet.id}",
        f"--heartbeat-interval={heartbeat_ms}",
        f"--election-timeout={heartbeat_ms * policy.heartbeats_per_election}",
        "--pre-vote=true",
        "--auto-compaction-mode=periodic",
        f"--auto-compaction-retention={policy.compaction_min}m",
        f"--quota-backend-bytes={policy.quota_bytes}",
        f"--snapshot-count={policy.snapshot_count}",
        "--logger=zap",
        "--log-outputs=stderr",
    )


def environment(fleet: Fleet, site: str) -> dict[str, str]:
    """The member's environment: the way out of its site, and nothing else that could change what it does."""
    proxy = f"socks5://127.0.0.1:{fleet.ports[f'{site}/etcd-proxy']}"
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HTTP_PROXY": proxy}


def ways_out(fleet: Fleet, site: str) -> dict[str, int]:
    """The port of the relay to each other member, by the member's name, for the member at ``site``."""
    voters = fleet.topology.control.voters
    return {host(other): fleet.ports[wan_port(site, other, "etcd-peer")] for other in voters if other != site}


def control_at(fleet: Fleet, site: str) -> ControlConfig:
    """How the processes of a site reach the control store: their own member first, then by the links' delays."""
    topology = fleet.topology
    if not topology.control.voters:
        return SqliteControl(path=str(fleet.control))

    def far(voter: str) -> float:
        return -1.0 if voter == site else topology.link(site, voter).delay_ms

    def port(voter: str) -> int:
        return fleet.ports[f"{site}/etcd" if voter == site else wan_port(site, voter, "etcd")]

    members = [f"http://127.0.0.1:{port(voter)}" for voter in sorted(topology.control.voters, key=far)]
    return EtcdControl(members=members)


def control_for_operators(fleet: Fleet) -> ControlConfig:
    """How commands typed on this machine reach the control store: every member itself, whatever links are cut."""
    voters = fleet.topology.control.voters
    if not voters:
        return SqliteControl(path=str(fleet.control))
    return EtcdControl(members=[f"http://127.0.0.1:{fleet.ports[f'{voter}/etcd']}" for voter in voters])


def regions_from_witness(fleet: Fleet) -> dict[str, str]:
    """Each region's base URL as the witness reaches it: over the WAN where it has links, else at the region's edge."""
    linked = WITNESS in fleet.topology.sites

    def port(region: str) -> int:
        return fleet.ports[wan_port(WITNESS, region, "edge") if linked else f"{region}/edge"]

    return {region.name: f"http://127.0.0.1:{port(region.name)}" for region in fleet.topology.regions}


def _peer_url(site: str) -> str:
    return f"http://{host(site)}:{_PEER_PORT}"


def _round_trip_ms(topology: Topology) -> float:
    voters = topology.control.voters
    return max((2 * link.delay_ms for link in topology.links if link.a in voters and link.b in voters), default=0.0)
