"""``make bench-flood``: what floods cost honest requests and memory, and whether time tells whose an id is.

Against one worker of a region of a throwaway fleet. Limits are printed as met or not met; they never fail the run.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterator

from msgspec import Struct

from bench.command import Say, options, show
from bench.figures import Spread, Verdict, percentile, spread
from bench.flood_bytes import AttackReport, measure_attacks
from bench.http_wire import Wire, fixed_head, open_wire
from bench.place import FAST, HOME, SURE, throwaway_fleet
from bench.write_report import release_and_time

HONEST, ATTACKERS = 4, 4
_READ = "query ($id: ID!) { entity(id: $id) { id name edges { items { neighborId } } } }"
_DEEP = "{ edges { items { neighbor "


def _shapes() -> dict[str, bytes]:
    spread_twice = " ".join(f"fragment F{n} on Entity {{ edges {{ items {{ a: neighbor {{ ...F{n + 1} }} "
                            f"b: neighbor {{ ...F{n + 1} }} }} }} }}" for n in range(60))  # fmt: skip
    documents = {
        "depth of 20,000": "{ entity(id: 1) " + _DEEP * 20_000 + "{ id }" + " } } }" * 20_000 + " }",
        "7,000 aliases": "{" + " ".join(f"a{n}: entity(id: {n}) {{ id }}" for n in range(7_000)) + "}",
        "fan-out 10 to depth 8": "{ entity(id: 1) " + _DEEP * 8 + "{ id }" + " } } }" * 8 + " }",
        "1 MB of tokens": "{" + " a" * 500_000 + "}",
        "circular fragments": "{ entity(id: 1) { ...A } } fragment A on Entity { ...B } fragment B on Entity { ...A }",
        "10,000 directives": "{ entity(id: 1) { id " + "@include(if: true) " * 10_000 + "} }",
        "doubling fragments": "{ entity(id: 1) { ...F0 } } " + spread_twice + " fragment F60 on Entity { id }",
        "one field 450 times": "{ " + "stats { entities } " * 450 + "}",
    }
    bodies = {name: json.dumps({"query": text}).encode() for name, text in documents.items()}
    bodies["huge variables"] = json.dumps({"query": _READ, "variables": {"id": {"a": ["x" * 99] * 20_000}}}).encode()
    return bodies


class FloodReport(Struct, frozen=True, kw_only=True):
    """One run. Times in ms; ``alone`` and ``flooded`` are p99 of honest requests over rounds."""

    release: str
    at: str
    rounds: int
    shapes_ms: dict[str, float]
    alone: Spread
    flooded: Spread
    ratio: Spread
    refused_per_second: Spread
    theirs: Spread
    nowhere: Spread
    attacks: list[AttackReport]
    verdicts: list[Verdict]


async def _honest(port: int, token: str, seconds: float) -> list[float]:
    found: list[float] = []
    until = time.perf_counter() + seconds

    async def ask(number: int) -> None:
        wire = await open_wire("127.0.0.1", port)
        for n in itertools.count():
            began = time.perf_counter()
            if began >= until:
                break
            status, body = await _read(wire, token, f"pool-{(number * 31 + n) % 200}")
            if status != 200 or b'"data"' not in body:
                raise RuntimeError(f"an honest request was answered {status}: {body[:200]!r}")
            found.append((time.perf_counter() - began) * 1000)
        wire.close()

    await asyncio.gather(*(ask(number) for number in range(HONEST)))
    return sorted(found)


async def _single(port: int, token: str, seconds: float) -> list[float]:
    """Read single entities, one after the other; how long each took, in ms, sorted."""
    found: list[float] = []
    until = time.perf_counter() + seconds
    wire = await open_wire("127.0.0.1", port)
    for n in itertools.count():
        began = time.perf_counter()
        if began >= until:
            break
        status, body = await _read(wire, token, f"pool-{n % 200}")
        if status != 200 or b'"data"' not in body:
            raise RuntimeError(f"an honest read was answered {status}: {body[:200]!r}")
        found.append((time.perf_counter() - began) * 1000)
    wire.close()
    return sorted(found)


async def _read(wire: Wire, token: str, id_: str) -> tuple[int, bytes]:
    body = json.dumps({"query": _READ, "variables": {"id": id_}}).encode()
    return await wire.post(fixed_head("/graphql", token), "k", body)


async def _attack(port: int, token: str, bodies: Iterator[bytes], refused: list[int]) -> None:
    wire = await open_wire("127.0.0.1", port)
    try:
        while True:
            status, body = await wire.post(fixed_head("/graphql", token), "k", next(bodies))
            if b'"errors"' not in body:
                raise RuntimeError(f"an attack was answered {status}: {body[:200]!r}")
            refused[0] += 1
    finally:
        wire.close()


async def _flooded(port: int, tokens: dict[str, str], shapes: dict[str, bytes], seconds: float) -> tuple[float, float]:
    refused = [0]
    bodies = itertools.cycle(shapes.values())
    attackers = [asyncio.create_task(_attack(port, tokens[SURE], bodies, refused)) for _ in range(ATTACKERS)]
    try:
        p99 = percentile(await _honest(port, tokens[FAST], seconds), 0.99)
    finally:
        for attacker in attackers:
            attacker.cancel()
        ended = await asyncio.gather(*attackers, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
    return p99, refused[0] / seconds


async def _each(port: int, token: str, shapes: dict[str, bytes]) -> dict[str, float]:
    wire = await open_wire("127.0.0.1", port)
    found = {}
    for name, body in shapes.items():
        times = []
        for _ in range(5):
            began = time.perf_counter()
            await wire.post(fixed_head("/graphql", token), "k", body)
            times.append((time.perf_counter() - began) * 1000)
        found[name] = statistics.median(times)
    wire.close()
    return found


async def _whose(port: int, tokens: dict[str, str], requests: int) -> tuple[list[float], list[float]]:
    """Ask in turn for an id that only the other tenant has and for one that nobody has."""
    wire = await open_wire("127.0.0.1", port)
    only = b'{"operations":[{"op":"upsert_entity","entity":{"id":"only-theirs","type":"tool","name":"x"}}]}'
    status, told = await wire.post(fixed_head("/v1/changes", tokens[SURE]), "only", only)
    if status != 200:
        raise RuntimeError(f"the other tenant's entity could not be written: {told[:200]!r}")
    times: dict[str, list[float]] = {"only-theirs": [], "only-nobody": []}
    for _ in range(requests):
        for id_, found in times.items():
            began = time.perf_counter()
            await _read(wire, tokens[FAST], id_)
            found.append((time.perf_counter() - began) * 1000)
    wire.close()
    return times["only-theirs"], times["only-nobody"]


async def measure_flood(rounds: int, seconds: float, attack_s: float, say: Say) -> FloodReport:
    """Run all parts, the first two in interleaved rounds."""
    shapes = _shapes()
    alone, flooded, rates, theirs, nowhere = [], [], [], [], []
    async with throwaway_fleet(say) as place:
        port = place.fleet.ports[f"{HOME}/api"]
        await _honest(port, place.tokens[FAST], 1.0)
        each = await _each(port, place.tokens[SURE], shapes)
        for _ in range(rounds):
            alone.append(percentile(await _honest(port, place.tokens[FAST], seconds), 0.99))
            p99, rate = await _flooded(port, place.tokens, shapes, seconds)
            flooded.append(p99)
            rates.append(rate)
            pair = await _whose(port, place.tokens, 200)
            theirs.append(statistics.median(pair[0]))
            nowhere.append(statistics.median(pair[1]))
        attacks = await measure_attacks(place, _single, attack_s, say)
    ratio = spread([over / under for over, under in zip(flooded, alone, strict=True)])
    told = spread(theirs).median / spread(nowhere).median
    verdicts = [
        _at_most("slowest shape's refusal", max(each.values()), 100, "ms"),
        _at_most("honest p99 while flooded / alone", ratio.median, 2),
        _at_most("another tenant's id / an id of nobody, medians", max(told, 1 / told), 1.5),
        *(verdict for attack in attacks for verdict in attack.verdicts()),
    ]
    release, at = release_and_time()
    return FloodReport(
        release=release, at=at, rounds=rounds, shapes_ms=each, alone=spread(alone), flooded=spread(flooded),
        ratio=ratio, refused_per_second=spread(rates), theirs=spread(theirs), nowhere=spread(nowhere),
        attacks=attacks, verdicts=verdicts,
    )  # fmt: skip


def _at_most(claim: str, value: float, limit: float, unit: str = "") -> Verdict:
    return Verdict(claim=claim, value=value, limit=limit, at_least=False, unit=unit)


def lines(report: FloodReport) -> list[str]:
    """The report as text."""
    return [
        f"IntelGraph {report.release}, {report.at}; medians of {report.rounds} rounds (lowest to highest)",
        "1. refusals, one at a time, ms",
        *(f"  {name:<22} {value:8.1f}" for name, value in report.shapes_ms.items()),
        f"2. p99 of {HONEST} honest clients, ms",
        f"  alone                  {report.alone.text(1)}",
        f"  {ATTACKERS} attackers            {report.flooded.text(1)}; {report.refused_per_second.text()} refusals/s",
        f"  ratio                  {report.ratio.text(2)}",
        "3. medians of single reads, ms",
        f"  another tenant's id    {report.theirs.text(2)}",
        f"  an id of nobody        {report.nowhere.text(2)}",
        "4. attacks on memory: most that a process grew (MB), which, p99 of another tenant's single reads before and "
        "meanwhile (ms), answers",
        *(attack.line() for attack in report.attacks),
        "Limits",
        *(f"  {verdict.text()}" for verdict in report.verdicts),
    ]


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = options("flood", "Measure a flood. About fifteen minutes.", quick="a short run, for a look")
    given = parser.parse_args()
    rounds, seconds, attack_s = (2, 2.0, 6.0) if given.quick else (5, 5.0, 60.0)
    return show(given, parser.prog, lambda say: measure_flood(rounds, seconds, attack_s, say), lines)


if __name__ == "__main__":
    sys.exit(main())
