"""What attacks on memory cost a worker, its backends and another tenant: the second part of ``make bench-flood``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable

from msgspec import Struct

from bench.attacks import ATTACKS, OBJECT_BYTES, OBJECTS, large_entity
from bench.command import Say
from bench.figures import Verdict, percentile
from bench.http_wire import fixed_head, open_wire
from bench.memory import Watch
from bench.place import FAST, HOME, SURE, Place

GROWTH_MB_MAX = 256.0
P99_RATIO_MAX, P99_MS_MAX = 5.0, 100.0
Honest = Callable[[int, str, float], Awaitable[list[float]]]


class AttackReport(Struct, frozen=True, kw_only=True):
    """One attack: which process grew most, by how much, and another tenant's single reads before and meanwhile."""

    name: str
    process: str
    growth_mb: float
    before_p99_ms: float
    p99_ms: float
    answers: dict[str, int]

    def verdicts(self) -> list[Verdict]:
        """The limits."""
        limit_ms = max(P99_MS_MAX, P99_RATIO_MAX * self.before_p99_ms)
        return [
            Verdict(claim=f"{self.name}: growth of {self.process}", value=self.growth_mb, limit=GROWTH_MB_MAX,
                    at_least=False, unit="MB"),
            Verdict(claim=f"{self.name}: another tenant's p99", value=self.p99_ms, limit=limit_ms, at_least=False,
                    unit="ms"),
        ]  # fmt: skip

    def line(self) -> str:
        """One line for people."""
        told = ", ".join(f"{name} {count:,}" for name, count in sorted(self.answers.items()))
        return (
            f"  {self.name:<26} {self.growth_mb:6.0f}  {self.process:<28} {self.before_p99_ms:7.1f} {self.p99_ms:7.1f}"
            f"  {told}"
        )


async def fill(place: Place, say: Say) -> None:
    """Write the attacker's objects."""
    say(f"writing {OBJECTS} entities of {OBJECT_BYTES // 1000} kB")
    wire = await open_wire("127.0.0.1", place.fleet.ports[f"{HOME}/api"])
    for number in range(OBJECTS):
        head = fixed_head("/v1/changes", place.tokens[SURE])
        status, told = await wire.post(head, f"large-{number}", large_entity(number, OBJECT_BYTES))
        if status not in (200, 202):
            raise RuntimeError(f"a large entity could not be written: {told[:200]!r}")
    wire.close()


async def measure_attack(name: str, place: Place, honest: Honest, seconds: float) -> AttackReport:
    """Run one attack, from a process of its own, and look at everything meanwhile."""
    port = place.fleet.ports[f"{HOME}/api"]
    before = percentile(await honest(port, place.tokens[FAST], min(5.0, seconds)), 0.99)
    watch = Watch(str(place.fleet.state.parent))
    watch.look()
    watching = asyncio.create_task(watch.run())
    attacker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.attacks", name, str(port), place.tokens[SURE], str(seconds),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        meanwhile = percentile(await honest(port, place.tokens[FAST], seconds), 0.99)
        told, _ = await attacker.communicate()
    finally:
        watching.cancel()
        with contextlib.suppress(ProcessLookupError):
            attacker.kill()
    process, growth_mb = watch.most()
    return AttackReport(
        name=name, process=process, growth_mb=growth_mb, before_p99_ms=before, p99_ms=meanwhile,
        answers=json.loads(told or b"{}"),
    )  # fmt: skip


async def measure_attacks(place: Place, honest: Honest, seconds: float, say: Say) -> list[AttackReport]:
    """Run every attack, one after the other."""
    await fill(place, say)
    reports = []
    for name in ATTACKS:
        say(f"attack: {name}")
        reports.append(await measure_attack(name, place, honest, seconds))
    return reports
