"""Writes the settings files that a fleet's processes read: each region's, the edges', the links', the issuer's key."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import msgspec

from intelgraph.control.issuer import AUDIENCE, ISSUER, ensure_key
from intelgraph.fleet.edge.envoy import Upstream, global_edge, region_edge
from intelgraph.fleet.etcd import members as etcd
from intelgraph.fleet.etcd.peers import PeersConfig, WayOut
from intelgraph.fleet.layout import clocks
from intelgraph.fleet.layout.binaries import postgres_programs
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import GLOBAL_EDGE, WITNESS, Region, wan_port
from intelgraph.fleet.postgres import server as postgres
from intelgraph.fleet.postgres.server import server_of
from intelgraph.fleet.wan import asking as wan
from intelgraph.runtime.whole_file import write_whole
from intelgraph.settings import ApiPolicy, ControlConfig, Issuer, Peer, RegionConfig, WitnessConfig, dump_region_config


def prepare_servers(fleet: Fleet) -> None:
    """Create the PostgreSQL clusters that do not exist yet, and write every server's settings; blocks."""
    postgres_programs()  # found once, before the threads look for it
    with ThreadPoolExecutor() as pool:
        servers = [server_of(fleet, region.name) for region in fleet.topology.regions]
        for _ in pool.map(postgres.prepare, servers):
            pass


def write_files(fleet: Fleet) -> None:
    """Write every settings file, from scratch; the servers' passwords must exist (``prepare_servers``)."""
    etcd.check_program(fleet)
    clocks.prepare(fleet)
    issuer = Issuer(issuer=ISSUER, audience=AUDIENCE, jwks=str(ensure_key(fleet.state)))
    for region in fleet.topology.regions:
        write_whole(fleet.region_config(region.name), dump_region_config(region_config(fleet, region, issuer)))
        api = Upstream(name=region.name, port=fleet.ports[f"{region.name}/api"])
        edge = region_edge(
            port=fleet.ports[f"{region.name}/edge"],
            peers_port=fleet.ports[f"{region.name}/peers"],
            admin_socket=str(fleet.edge_admin_socket(region.name)),
            api=api,
        )
        write_whole(fleet.edge_config(region.name), json.dumps(edge, indent=1))
    edges = [Upstream(name=each.name, port=fleet.ports[f"{each.name}/edge"]) for each in fleet.topology.regions]
    in_front = global_edge(port=fleet.ports[GLOBAL_EDGE], admin_socket=str(fleet.edge_admin_socket(None)), edges=edges)
    write_whole(fleet.edge_config(None), json.dumps(in_front, indent=1))
    for link in fleet.topology.links:
        wan.write_config(fleet, link)
    _write_control_files(fleet)


def _write_control_files(fleet: Fleet) -> None:
    operators: ControlConfig = etcd.control_for_operators(fleet)
    write_whole(fleet.control_config, msgspec.json.encode(operators))
    witness = WitnessConfig(
        directory=str(fleet.site(WITNESS)),
        control=etcd.control_at(fleet, WITNESS),
        regions=etcd.regions_from_witness(fleet),
    )
    write_whole(fleet.witness_config, dump_region_config(witness))
    voters = fleet.topology.control.voters
    if voters:
        peers = [
            WayOut(port=fleet.ports[f"{voter}/etcd-proxy"], relays=etcd.ways_out(fleet, voter)) for voter in voters
        ]
        write_whole(fleet.etcd_peers_config, msgspec.json.format(msgspec.json.encode(PeersConfig(ways_out=peers))))


def region_config(fleet: Fleet, region: Region, issuer: Issuer) -> RegionConfig:
    """What the processes of one region are told."""
    server = server_of(fleet, region.name)
    peers = {
        other.name: Peer(
            database=server_of(fleet, other.name).login(
                postgres.PEER, host="127.0.0.1", port=fleet.ports[wan_port(region.name, other.name, "postgres")]
            ),
            api=f"http://127.0.0.1:{fleet.ports[wan_port(region.name, other.name, 'edge')]}",
        )
        for other in fleet.topology.regions
        if other.name != region.name
    }
    return RegionConfig(
        region=region.name,
        zone=region.zone,
        directory=str(fleet.region(region.name)),
        database=server.login(postgres.API),
        admin_database=server.login(postgres.ADMIN),
        peers=peers,
        control=etcd.control_at(fleet, region.name),
        issuer=issuer,
        agent_socket=str(fleet.agent_socket(region.name)),
        edge=f"http://127.0.0.1:{fleet.ports[f'{region.name}/edge']}",
        agent_port=fleet.ports[f"{region.name}/agent"],
        metrics_port=fleet.ports[f"{region.name}/metrics"],
        feed_port=fleet.ports[f"{region.name}/feed"],
        api_host="127.0.0.1",
        api_port=fleet.ports[f"{region.name}/api"],
        api=ApiPolicy(allowed_origins=list(fleet.topology.allowed_origins)),
    )
