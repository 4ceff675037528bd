"""Before anything is measured: every contestant gives the same answers, one at a time and many at once."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

from bench.http_wire import Wire, open_wire
from bench.read_contestants import Running
from bench.read_queries import (
    READS,
    WRITE,
    Dialect,
    Query,
    Written,
    canonical,
    read_body,
    revision,
    write_body,
    written_entity,
)

ANSWERS = 200
READ_BACK = READS[0].documents[Dialect.INTELGRAPH]
AT_ONCE = 32


class Unequal(Exception):
    """Two contestants answer the same question differently."""


async def verify(running: Sequence[Running]) -> int:
    """Compare answers to every query, and what writes say that they made; returns how many answers were compared."""
    compared = 0
    for query in READS:
        chance = random.Random(query.name)
        numbers = [0, *(query.choose(chance) for _ in range(ANSWERS))]
        wanted = await _answers(running[0], query, numbers, at_once=1)
        if len({json.dumps(each, sort_keys=True) for each in wanted}) < ANSWERS // 4:
            raise Unequal(f"{query.name}: {running[0].contestant.name} answers nearly everything alike")
        for each in running:
            for at_once in (1, AT_ONCE):
                told = await _answers(each, query, numbers, at_once=at_once)
                _compare(query, numbers, wanted, told, f"{each.contestant.name}, {at_once} at once")
                compared += len(told)
    for each in running:
        for at_once in (1, AT_ONCE):
            for kind in each.contestant.writes:
                compared += await _verify_writes(running[0], each, kind, at_once)
    return compared


def _compare(query: Query, numbers: list[int], wanted: list[Any], told: list[Any], who: str) -> None:
    for number, one, other in zip(numbers, wanted, told, strict=True):
        if one != other:
            raise Unequal(
                f"{query.name} of {number}: {who} answers {json.dumps(other)[:400]}, not {json.dumps(one)[:400]}"
            )


async def _answers(running: Running, query: Query, numbers: list[int], *, at_once: int) -> list[Any]:
    dialect = running.contestant.dialect
    wires = [await open_wire("127.0.0.1", running.port) for _ in range(at_once)]
    answers: dict[int, Any] = {}
    waiting = list(enumerate(numbers))

    async def ask(wire: Wire) -> None:
        while waiting:
            place, number = waiting.pop()
            _, body = await wire.send(running.head, read_body(query, dialect, number))
            answers[place] = canonical(dialect, json.loads(body))

    try:
        await asyncio.gather(*(ask(wire) for wire in wires))
    finally:
        for wire in wires:
            wire.close()
    return [answers[place] for place in range(len(numbers))]


async def _verify_writes(reader: Running, running: Running, kind: str, at_once: int) -> int:
    """Write each of some entities twice: what is told is revision 1, then 2; what went through the log is read back."""
    who = f"{running.contestant.name}, {kind}, {at_once} at once"
    ids = [f"verified-{running.contestant.name}-{kind}-{at_once}-{number}" for number in range(AT_ONCE)]
    for turn in (1, 2):
        told = await _written(running, kind, ids, turn, at_once)
        if told != [turn] * len(ids):
            raise Unequal(f"{who}: write {turn} of some entities says that it made the revisions {told}")
    if kind != WRITE:
        return 2 * len(ids)
    for number, id_ in enumerate(ids):
        wire = await open_wire("127.0.0.1", reader.port)
        _, body = await wire.send(reader.head, json.dumps({"query": READ_BACK, "variables": {"id": id_}}).encode())
        wire.close()
        found, wanted = json.loads(body)["data"]["entity"], written_entity(id_, random.Random(number * 2))
        if found != wanted:
            raise Unequal(f"{who}: {json.dumps(found)[:400]} was written, not {json.dumps(wanted)[:400]}")
    return 3 * len(ids)


async def _written(running: Running, kind: str, ids: list[str], turn: int, at_once: int) -> list[int]:
    """Write every entity once; returns the revisions that are told."""
    wires = [await open_wire("127.0.0.1", running.port) for _ in range(at_once)]
    told: dict[int, int] = {}
    waiting = list(enumerate(ids))

    async def write(wire: Wire) -> None:
        while waiting:
            number, id_ = waiting.pop()
            written = Written(key=f"{id_}-{turn}", id=id_)
            body = write_body(kind, running.contestant.dialect, written, random.Random(number * turn))
            _, answer = await wire.post(running.head, written.key, body)
            told[number] = revision(json.loads(answer))

    try:
        await asyncio.gather(*(write(wire) for wire in wires))
    finally:
        for wire in wires:
            wire.close()
    return [told[number] for number in range(len(ids))]
