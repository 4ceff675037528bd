"""The WAN links of one region: every one, the witness's too; and what a probe over them finds out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import ControlKind, Link, carried, wan_port
from intelgraph.fleet.wan import asking as wan
from intelgraph.fleet.wan.listener import Report
from intelgraph.fleet.wan.settings import Ask, Cut, Direction
from intelgraph.model.errors import IntelGraphError

SILENT_FOR_S = 0.6
_ANSWER_WITHIN_S = 5.0
_ASK = b"GET /healthz HTTP/1.0\r\nHost: probe\r\n\r\n"
ONLY_ETCD = (
    "the control store of this fleet is one file on this machine, and no cut between regions can part anyone from it: "
    "drills of links need `intelgraph up --control etcd`, in a fleet that is new"
)


@dataclass(frozen=True, kw_only=True)
class Path:
    """A way over a link: at which port ``source`` reaches something of ``target``."""

    source: str
    target: str
    port: int


def links_of(fleet: Fleet, region: str) -> list[Link]:
    """Every link that ends in a region."""
    return [link for link in fleet.topology.links if region in (link.a, link.b)]


def other_end(link: Link, region: str) -> str:
    """Where a link of a region leads."""
    return link.b if link.a == region else link.a


def towards(link: Link, region: str, *, into: bool, out: bool, how: Cut) -> Ask:
    """Ask for a cut of what flows into a region, of what flows out of it, or of both."""
    a_to_b, b_to_a = (into, out) if link.b == region else (out, into)
    return Ask(a_to_b_cut=how if a_to_b else None, b_to_a_cut=how if b_to_a else None)


def paths(fleet: Fleet, region: str) -> list[Path]:
    """One way over each link of a region and each direction that carries something that answers HTTP."""
    found = []
    for link in links_of(fleet, region):
        for source, target in ((link.a, link.b), (link.b, link.a)):
            what = next((part for part in carried(fleet.topology, source, target) if part in ("edge", "etcd")), None)
            if what is not None:
                found.append(Path(source=source, target=target, port=fleet.ports[wan_port(source, target, what)]))
    return found


def answer_s(path: Path, within_s: float = _ANSWER_WITHIN_S) -> float | None:
    """How long the first byte of an answer takes over a way; nothing if none comes in time."""
    began_s = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", path.port), timeout=within_s) as channel:
            channel.settimeout(within_s)
            channel.sendall(_ASK)
            return time.monotonic() - began_s if channel.recv(1) else None
    except OSError:
        return None


def reports(fleet: Fleet, region: str) -> list[Report]:
    """What each link of a region does now."""
    return [wan.ask(fleet, link) for link in links_of(fleet, region)]


def passed_bytes(told: Iterable[Report], region: str, *, into: bool) -> int:
    """How much has passed into a region, or out of it."""
    return sum(each.a_to_b_bytes if (each.b == region) is into else each.b_to_a_bytes for each in told)


def heal_links(fleet: Fleet, region: str) -> str | None:
    """End all cuts and temporary settings; returns what is still wrong, if anything is."""
    for link in links_of(fleet, region):
        told = wan.ask(fleet, link, Ask(heal=True))
        if _worst(told.settings.a_to_b, told.settings.b_to_a) != Cut.NONE or told.reverts_in_s is not None:
            return f"the link between {told.a} and {told.b} is still cut"
    silent = [path for path in paths(fleet, region) if answer_s(path) is None]
    return f"nothing comes over the link from {silent[0].source} to {silent[0].target}" if silent else None


def missing_links(fleet: Fleet, region: str) -> str | None:
    """Why the links of a region cannot be drilled here."""
    if fleet.topology.control.kind is not ControlKind.ETCD:
        return ONLY_ETCD
    try:
        reports(fleet, region)
    except IntelGraphError as error:
        return error.denied.reason
    return None


def _worst(*directions: Direction) -> Cut:
    return next((each.cut for each in directions if each.cut is not Cut.NONE), Cut.NONE)
