"""Before anything is measured: every contestant gives the same answers, one at a time and many at once."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

from bench.http_wire import Wire, open_wire
from bench.read_contestants import Running
from bench.read_queries import READS, Query, canonical, read_body, revision, write_body

ANSWERS = 200
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
        compared += await _verify_writes(each)
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


async def _verify_writes(running: Running) -> int:
    """Write each of some entities twice: what is told is revision 1, then 2."""
    dialect, name = running.contestant.dialect, running.contestant.name
    wire = await open_wire("127.0.0.1", running.port)
    try:
        for turn in (1, 2):
            for number in range(AT_ONCE):
                body = write_body(dialect, f"verified-{name}-{number}", random.Random(number * turn))
                _, answer = await wire.post(running.head, f"verify-{name}-{turn}-{number}", body)
                told = revision(dialect, json.loads(answer))
                if told != turn:
                    raise Unequal(f"{name} says that write {turn} of an entity made revision {told}")
    finally:
        wire.close()
    return 2 * AT_ONCE
