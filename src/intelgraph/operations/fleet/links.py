"""The links between regions of a running fleet: what they do, and slowing, cutting and healing them.

The directions of a change are those of the two ends as they are given. To look is not recorded, to change is.
"""

from __future__ import annotations

import asyncio
from enum import Enum

import msgspec

from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import Link
from intelgraph.fleet.wan.asking import ask
from intelgraph.fleet.wan.listener import Report
from intelgraph.fleet.wan.settings import Ask
from intelgraph.model.errors import Fact, refuse
from intelgraph.operations.fleet.location import FleetOperator
from intelgraph.operations.record import record

Ends = tuple[str, str]
LOOK = Ask()


async def read_links(fleet: Fleet, ends: Ends | None = None) -> list[Report]:
    """What the link between two ends does, or each; ``unknown_link`` if there is none between them."""
    return [await asyncio.to_thread(ask, fleet, link, LOOK) for link in _links(fleet, ends)]


async def change_links(operator: FleetOperator, change: Ask, ends: Ends | None = None) -> list[Report]:
    """Change the link between two ends, or each; returns what they do then."""
    links = _links(operator.fleet, ends)
    between = [f"{link.a} {link.b}" for link in links] if ends is None else [" ".join(ends)]
    record(operator, "wan", between=between, **_facts(change))
    turned = ends is not None and (links[0].a, links[0].b) != ends
    wanted = _turn(change) if turned else change
    return [await asyncio.to_thread(ask, operator.fleet, link, wanted) for link in links]


def _links(fleet: Fleet, ends: Ends | None) -> list[Link]:
    if ends is None:
        return list(fleet.topology.links)
    try:
        return [fleet.topology.link(*ends)]
    except KeyError:
        known = ", ".join(f"{link.a} {link.b}" for link in fleet.topology.links)
        raise refuse("unknown_link", f"there is no link between {' and '.join(ends)}: known are {known}") from None


def _turn(change: Ask) -> Ask:
    return msgspec.structs.replace(
        change,
        a_to_b_cut=change.b_to_a_cut,
        b_to_a_cut=change.a_to_b_cut,
        a_to_b_delay_ms=change.b_to_a_delay_ms,
        b_to_a_delay_ms=change.a_to_b_delay_ms,
    )


def _facts(change: Ask) -> dict[str, Fact]:
    """What is to be changed; the rest is left out."""
    given = {name: getattr(change, name) for name in change.__struct_fields__}
    return {
        name: value.value if isinstance(value, Enum) else value
        for name, value in given.items()
        if value is not None and value is not False
    }
