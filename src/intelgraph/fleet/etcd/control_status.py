"""The control store as `status` shows it, whichever kind it is."""

from __future__ import annotations

import asyncio

from intelgraph.fleet.etcd.status import ControlStatus, advice_on
from intelgraph.fleet.layout.places import Fleet


def read_control_status(fleet: Fleet) -> ControlStatus:
    """Ask every member of etcd, where it is etcd; takes at most two seconds and raises nothing of theirs."""
    control = fleet.topology.control
    if not control.voters:
        return ControlStatus(kind=control.kind.value)
    from intelgraph.fleet.etcd.asking import ask_all  # its HTTP client takes a quarter of a second to import

    members = asyncio.run(ask_all({site: f"http://127.0.0.1:{fleet.ports[f'{site}/etcd']}" for site in control.voters}))
    leader = next((member.site for member in members if member.leads), None)
    return ControlStatus(kind=control.kind.value, leader=leader, members=members, advice=advice_on(members))
