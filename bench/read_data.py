"""The graph that is read: 20,000 entities and 80,000 relationships of one tenant, the same whenever it is made.

Every tenth entity is a hub with ``HUB_EDGES`` relationships going out; the first one is a supernode with 5,000. Each
entity carries 200 bytes of chance as base64, which nothing compresses. Ids end in a number, so that pgbench can choose
them by chance.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

ENTITIES, RELATIONSHIPS = 20_000, 80_000
HUB_EVERY, HUB_EDGES, SUPERNODE_EDGES = 10, 30, 5_000
TERMS, TERMS_A_NAME = 1_000, 3
TENANT = "bench"
ID_PREFIX = "malware--5f0c2c1e-7d1a-4b52-9a51-"
FIRST_NUMBER = 100_000_000_000
_RELATIONSHIP_PREFIX = "relationship--8e4b6d0a-21c7-4f0e-b7d3-"
_TYPES = ("malware", "tool", "attack-pattern", "intrusion-set", "campaign")
_SEED = 20_260
_TEXT = (
    "Adversaries may abuse cloud management services to execute commands within virtual machines. Resources such as "
    "agents give access to hosts, and what they print is kept by the service."
)


def entity_id(number: int) -> str:
    """The id of an entity, by its number from 0."""
    return f"{ID_PREFIX}{FIRST_NUMBER + number}"


def term(number: int) -> str:
    """A word that some 60 names hold, by its number from 0 to ``TERMS`` - 1; none is the beginning of another."""
    return f"term{TERMS + number}"


def properties(chance: random.Random, number: int) -> dict[str, Any]:
    """The properties of an entity."""
    return {
        "description": _TEXT,
        "platforms": ["Windows", "Linux", "IaaS"],
        "number": number,
        "sample": base64.b64encode(chance.randbytes(200)).decode(),
    }


def batches(size: int) -> Iterator[tuple[str, bytes]]:
    """The writes that make the graph: an idempotency key and the operations as a JSON array, ``size`` in each."""
    chance = random.Random(_SEED)
    made = 0
    for kind, objects in (("entity", _entities(chance)), ("relationship", _relationships(chance))):
        operations = [{"op": f"upsert_{kind}", kind: each} for each in objects]
        for first in range(0, len(operations), size):
            yield f"graph-{made}", json.dumps(operations[first : first + size]).encode()
            made += 1


def _entities(chance: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "id": entity_id(number),
            "type": _TYPES[number % len(_TYPES)],
            "name": " ".join(term(chance.randrange(TERMS)) for _ in range(TERMS_A_NAME)),
            "confidence": number % 101,
            "valid_from": "2024-01-01T00:00:00Z",
            "sources": ["benchmark"],
            "properties": properties(chance, number),
        }
        for number in range(ENTITIES)
    ]


def _relationships(chance: random.Random) -> list[dict[str, Any]]:
    hubs = range(HUB_EVERY, ENTITIES, HUB_EVERY)
    ends = [(0, chance.randrange(1, ENTITIES)) for _ in range(SUPERNODE_EDGES // 2)]
    ends += [(chance.randrange(1, ENTITIES), 0) for _ in range(SUPERNODE_EDGES // 2)]
    ends += [(hub, _target(chance)) for hub in hubs for _ in range(HUB_EDGES)]
    ends += [(chance.randrange(1, ENTITIES), _target(chance)) for _ in range(RELATIONSHIPS - len(ends))]
    chance.shuffle(ends)
    return [
        {
            "id": f"{_RELATIONSHIP_PREFIX}{FIRST_NUMBER + number}",
            "type": ("uses", "targets", "attributed-to")[number % 3],
            "source": entity_id(source),
            "target": entity_id(target),
            "confidence": number % 101,
            "properties": {"sample": base64.b64encode(chance.randbytes(200)).decode()},
        }
        for number, (source, target) in enumerate(ends)
    ]


def _target(chance: random.Random) -> int:
    return chance.randrange(ENTITIES) if chance.random() < 0.5 else chance.randrange(0, ENTITIES, HUB_EVERY)
