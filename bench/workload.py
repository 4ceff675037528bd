"""The writes that every benchmarked path makes: one entity of a realistic size each, every other one new.

A write is named by (run, writer, number): keys are distinct, and new entities too. The others update one of
``POOL`` entities that exist before anything is measured. The same text exists as a template for Python and, with
PostgreSQL's ``format``, for pgbench, so that all paths append the same operations over the same data.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

POOL = 4_000
_TEXT = (
    "Adversaries may abuse cloud management services to execute commands within virtual machines. Resources such as "
    "agents give access to hosts, and what they print is kept by the service. With enough rights an intruder runs "
    "scripts on every machine at once."
)
_ENTITY = (
    '{"id":"%s","type":"attack-pattern","name":"Measured technique %s","confidence":80,'
    '"valid_from":"2024-01-01T00:00:00Z","sources":["benchmark"],"properties":{"description":"' + _TEXT + '",'
    '"platforms":["Windows","Linux","IaaS"],"aliases":["one","two"],"number":%s}}'
)
_OPERATIONS = '[{"op":"upsert_entity","entity":' + _ENTITY + "}]"


@dataclass(frozen=True, kw_only=True)
class Write:
    """One request: its idempotency key, and its operations as a JSON array."""

    key: str
    operations: bytes


def write_of(run: str, writer: int, number: int, chance: random.Random) -> Write:
    """The write ``number`` of a writer in a run."""
    name = f"{run}-{writer}-{number}"
    entity = f"new-{name}" if number % 2 else f"pool-{chance.randrange(POOL)}"
    return Write(key=name, operations=(_OPERATIONS % (entity, number, number)).encode())


def pool_batches(size: int) -> list[Write]:
    """The writes that create the pool, ``size`` entities in each."""
    batches = []
    for first in range(0, POOL, size):
        ids = range(first, min(first + size, POOL))
        operations = ",".join('{"op":"upsert_entity","entity":' + _ENTITY % (f"pool-{k}", k, k) + "}" for k in ids)
        batches.append(Write(key=f"pool-{first}", operations=f"[{operations}]".encode()))
    return batches


def pgbench_script(*, placement: str, epoch: int, tenant: str) -> str:
    """The same write as one pgbench transaction. It expects the variables ``n`` (0) and ``run`` (a number)."""
    entity = (
        "case when :n % 2 = 1 then concat('new-', :run::text, '-', :client_id::text, '-', :n::text) "
        "else concat('pool-', :chosen::text) end"
    )
    return (
        f"\\set n :n + 1\n\\set chosen random(0, {POOL - 1})\n"
        f"select ig.append('{placement}', {epoch}, '{tenant}', "
        "concat(:run::text, '-', :client_id::text, '-', :n::text), sha256(convert_to(:n::text, 'UTF8')), "
        f"format('{_OPERATIONS}', {entity}, :n::text, :n::text)::jsonb);\n"
    )
