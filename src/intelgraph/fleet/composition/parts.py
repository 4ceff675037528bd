"""The parts of a fleet: each process with its command, what it waits for, and how it is found ready.

Pure: derived from the fleet's value. A *step* is a piece of work that parts wait for, such as installing the schema.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import msgspec

from intelgraph.control.agent.leases.grants import GrantAsked
from intelgraph.fleet.etcd import members as etcd
from intelgraph.fleet.layout import clocks
from intelgraph.fleet.layout.binaries import envoy_program
from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import GLOBAL_EDGE, WITNESS, Link, Region, carried, wan_port
from intelgraph.fleet.postgres import server as postgres
from intelgraph.fleet.postgres.server import server_of
from intelgraph.fleet.wan import asking as wan
from intelgraph.fleet.wan.settings import Ask

SCHEMA, LINKS = "schema", "links"
ETCD_PEERS = "wan:etcd-peers"


class Kind(Enum):
    """What a part is."""

    POSTGRES = "postgres"
    API = "api"
    FEED = "feed"
    AGENT = "agent"
    EDGE = "edge"
    GLOBAL_EDGE = "global-edge"
    WAN = "wan"
    ETCD = "etcd"
    ETCD_PEERS = "etcd-peers"


class Probe(Enum):
    """How a part is found ready."""

    POSTGRES = "postgres"  # it lets the owner in
    HTTP = "http"  # it answers 200 at ``probe_path``
    LISTENS = "listens"  # its first port accepts
    CONTROLLED = "controlled"  # it answers ``question`` on its private socket
    ADMIN = "admin"  # it answers 200 at ``probe_path`` on its private socket
    LIVES = "lives"  # it has run for a moment


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the fleet. ``name`` is ``site/kind``, ``wan:a--b`` or ``global-edge``; ``region``: its site."""

    name: str
    kind: Kind
    region: str | None
    command: tuple[str, ...]
    directory: Path
    log: Path
    environment: Mapping[str, str]
    probe: Probe
    ports: tuple[int, ...] = ()
    probe_path: str = "/healthz"
    question: bytes = b""
    needs: tuple[str, ...] = ()
    private_sockets: tuple[Path, ...] = field(default_factory=tuple)


def all_parts(fleet: Fleet) -> list[Part]:
    """Every part, in the order in which they are shown."""
    parts: list[Part] = []
    for region in fleet.topology.regions:
        parts += [_postgres(fleet, region), _agent(fleet, region)]
        parts += [_api(fleet, region), _feed(fleet, region), _edge(fleet, region)]
    voters = fleet.topology.control.voters
    parts += [_etcd(fleet, voter) for voter in voters] + ([_etcd_peers(fleet)] if voters else [])
    parts += [_wan(fleet, link) for link in fleet.topology.links]
    return [*parts, _witness(fleet), _global_edge(fleet)]


def mark(fleet: Fleet, part: str) -> str:
    """What a part's processes carry in their environment."""
    return f"{fleet.id}/{part}"


def python_environment() -> dict[str, str]:
    """The environment of our own processes: nothing of the caller's that could change what they do."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH")}
    return {**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"}


def _postgres(fleet: Fleet, region: Region) -> Part:
    server = server_of(fleet, region.name)
    return Part(
        name=f"{region.name}/postgres",
        kind=Kind.POSTGRES,
        region=region.name,
        command=tuple(postgres.command(server)),
        directory=server.directory,
        log=fleet.logs(region.name) / "postgres.log",
        environment={**postgres.server_environment(), **clocks.environment(fleet, region.name)},
        probe=Probe.POSTGRES,
        ports=(server.port,),
    )


def _api(fleet: Fleet, region: Region) -> Part:
    command = _module("intelgraph.api", fleet.region_config(region.name))
    return Part(
        name=f"{region.name}/api",
        kind=Kind.API,
        region=region.name,
        command=(*command, "--workers", str(region.api_workers)),
        directory=fleet.region(region.name),
        log=fleet.logs(region.name) / "api.log",
        environment=_python(fleet, region),
        probe=Probe.HTTP,
        ports=(fleet.ports[f"{region.name}/api"], fleet.ports[f"{region.name}/metrics"]),
        needs=(f"{region.name}/{SCHEMA}",),
    )


def _feed(fleet: Fleet, region: Region) -> Part:
    return Part(
        name=f"{region.name}/feed",
        kind=Kind.FEED,
        region=region.name,
        command=_module("intelgraph.changelog.feed", fleet.region_config(region.name)),
        directory=fleet.region(region.name),
        log=fleet.logs(region.name) / "feed.log",
        environment=_python(fleet, region),
        probe=Probe.LIVES,
        ports=(fleet.ports[f"{region.name}/feed"],),
        needs=(f"{region.name}/{SCHEMA}",),
    )


def _agent(fleet: Fleet, region: Region) -> Part:
    return Part(
        name=f"{region.name}/agent",
        kind=Kind.AGENT,
        region=region.name,
        command=_module("intelgraph.control.agent", fleet.region_config(region.name)),
        directory=fleet.region(region.name),
        log=fleet.logs(region.name) / "agent.log",
        environment=_python(fleet, region),
        probe=Probe.CONTROLLED,
        question=msgspec.json.encode(GrantAsked(wait=False)),
        needs=(f"{region.name}/{SCHEMA}",),
        private_sockets=(fleet.agent_socket(region.name),),
        ports=(fleet.ports[f"{region.name}/agent"],),
    )


def _witness(fleet: Fleet) -> Part:
    """The agent that has no region: one more that sees which regions are there."""
    return Part(
        name="witness/agent",
        kind=Kind.AGENT,
        region=WITNESS,
        command=_module("intelgraph.control.agent", fleet.witness_config, option="--witness"),
        directory=fleet.site(WITNESS),
        log=fleet.logs(WITNESS) / "agent.log",
        environment=python_environment(),
        probe=Probe.LIVES,
    )


def _edge(fleet: Fleet, region: Region) -> Part:
    return Part(
        name=f"{region.name}/edge",
        kind=Kind.EDGE,
        region=region.name,
        command=_envoy(fleet.edge_config(region.name)),
        directory=fleet.region(region.name),
        log=fleet.logs(region.name) / "edge.log",
        environment=_envoy_environment(),
        probe=Probe.ADMIN,
        probe_path="/ready",
        ports=(fleet.ports[f"{region.name}/edge"], fleet.ports[f"{region.name}/peers"]),
        private_sockets=(fleet.edge_admin_socket(region.name),),
    )


def _global_edge(fleet: Fleet) -> Part:
    return Part(
        name=GLOBAL_EDGE,
        kind=Kind.GLOBAL_EDGE,
        region=None,
        command=_envoy(fleet.edge_config(None)),
        directory=fleet.common,
        log=fleet.logs(None) / "global-edge.log",
        environment=_envoy_environment(),
        probe=Probe.HTTP,
        probe_path="/readyz",
        ports=(fleet.ports[GLOBAL_EDGE],),
        private_sockets=(fleet.edge_admin_socket(None),),
    )


def _wan(fleet: Fleet, link: Link) -> Part:
    ways = ((link.a, link.b), (link.b, link.a))
    return Part(
        name=f"wan:{link.name}",
        kind=Kind.WAN,
        region=None,
        command=_module("intelgraph.fleet.wan.listener", wan.config_path(fleet, link)),
        directory=fleet.common,
        log=fleet.logs(None) / f"wan-{link.name}.log",
        environment=python_environment(),
        probe=Probe.CONTROLLED,
        question=msgspec.json.encode(Ask()),
        ports=tuple(fleet.ports[wan_port(*way, what)] for way in ways for what in carried(fleet.topology, *way)),
        private_sockets=(fleet.wan_socket(link.name),),
    )


def _etcd(fleet: Fleet, site: str) -> Part:
    return Part(
        name=f"{site}/etcd",
        kind=Kind.ETCD,
        region=site,
        command=etcd.command(fleet, site),
        directory=fleet.site(site),
        log=fleet.logs(site) / "etcd.log",
        environment=etcd.environment(fleet, site),
        probe=Probe.HTTP,
        probe_path="/health",
        ports=(fleet.ports[f"{site}/etcd"], fleet.ports[f"{site}/etcd-peer"]),
    )


def _etcd_peers(fleet: Fleet) -> Part:
    return Part(
        name=ETCD_PEERS,
        kind=Kind.ETCD_PEERS,
        region=None,
        command=_module("intelgraph.fleet.etcd.peers", fleet.etcd_peers_config),
        directory=fleet.common,
        log=fleet.logs(None) / "wan-etcd-peers.log",
        environment=python_environment(),
        probe=Probe.LISTENS,
        ports=tuple(fleet.ports[f"{voter}/etcd-proxy"] for voter in fleet.topology.control.voters),
    )


def _python(fleet: Fleet, region: Region) -> dict[str, str]:
    return {**python_environment(), **clocks.environment(fleet, region.name)}


def _module(module: str, config: Path, *, option: str = "--config") -> tuple[str, ...]:
    return (sys.executable, "-m", module, option, str(config))


def _envoy(config: Path) -> tuple[str, ...]:
    options = ("--concurrency", "1", "--log-level", "warning", "--disable-hot-restart")
    return (str(envoy_program()), "-c", str(config), *options)


def _envoy_environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
