"""The rounds: every contestant answers the same query for some seconds, one after the other, beginning with another one
each round, so that what else the machine does falls on all of them alike.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from bench.figures import Sample, Spread, Verdict, latency_ms, ratio, spread, throughput
from bench.paths import PathFailed, run_program
from bench.read_contestants import ALONE, APOLLO, INTELGRAPH, POSTGRAPHILE, Running
from bench.read_load import ReadJob, ReadSample
from bench.read_pgbench import pgbench
from bench.read_queries import READS, UNLOGGED, WRITE, WRITE_TITLE, Query
from bench.read_site import Site
from bench.run import busy_pct

PGBENCH = "pgbench"
NO_LOG = "no log"
IN_FLIGHT = 32
READ_RATIO_WANTED, WRITE_RATIO_WANTED = 2.0, 1.5
PGBENCH_RATIO_WANTED = {"entity": 0.2, "hops": 0.35}
_PEERS = (APOLLO, POSTGRAPHILE)
_GRACE_S = 60.0
_LOOK_S = 0.3


@dataclass(frozen=True, kw_only=True)
class ReadPace:
    """How often, and for how many seconds each."""

    rounds: int
    seconds: float
    warm_up_s: float


FULL = ReadPace(rounds=5, seconds=2.0, warm_up_s=1.0)
QUICK = ReadPace(rounds=2, seconds=1.0, warm_up_s=0.4)


class Row(Struct, frozen=True, kw_only=True):
    """One contestant in one contest. ``server_cpu_us``: CPU time of its processes a request; ``database_cpu_us``: of
    PostgreSQL's, all of them."""

    contestant: str
    per_second: Spread
    intelgraph_over_it: Spread
    p50_ms: Spread | None
    p99_ms: Spread | None
    server_cpu_us: Spread | None
    database_cpu_us: Spread


class Contest(Struct, frozen=True, kw_only=True):
    """One query and everybody's figures."""

    query: str
    title: str
    rows: list[Row]
    generator_busy_max: float


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """A round of one contestant."""

    sample: Sample
    database_cpu_us: float
    cpu_us: float | None = None
    generator_busy: float = 0.0


Take = Callable[[float], Awaitable[_Measured]]
"""Measures one contestant for so many seconds."""


@dataclass(kw_only=True)
class Rounds:
    """Runs contests; between two rounds it looks how busy the machine is with other things."""

    site: Site
    running: Sequence[Running]
    pace: ReadPace
    say: Callable[[str], None]
    pauses_busy_pct: list[float] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def contests(self, only: Sequence[str]) -> list[Contest]:
        """Those that are named, or all: every read, then the write, which makes the tables grow."""
        chosen = [(query.name, query.title, query) for query in READS] + [(WRITE, WRITE_TITLE, None)]
        return [await self._contest(*each) for each in chosen if not only or each[0] in only]

    async def _contest(self, name: str, title: str, query: Query | None) -> Contest:
        takes: dict[str, Take] = {PGBENCH: lambda seconds: self._pgbench(query, seconds)} if query is not None else {}
        for server in self.running:
            takes[server.contestant.name] = functools.partial(self._load, server, name)
            if query is None and UNLOGGED in server.contestant.writes:
                takes[f"{server.contestant.name}, {NO_LOG}"] = functools.partial(self._load, server, UNLOGGED)
        names = [*(each for each in takes if each != PGBENCH), *([PGBENCH] if query is not None else [])]
        measured: dict[str, list[_Measured]] = {each: [] for each in names}
        for each in names:
            if each != PGBENCH:
                await takes[each](self.pace.warm_up_s)
        for turn in range(self.pace.rounds):
            self.pauses_busy_pct.append(await busy_pct(_LOOK_S))
            first = turn % len(names)
            for each in names[first:] + names[:first]:
                one = await takes[each](self.pace.seconds)
                measured[each].append(one)
                self.say(
                    f"{title}, round {turn + 1} of {self.pace.rounds}, {each}: {one.sample.per_second:,.0f} a second"
                )
        return Contest(
            query=name,
            title=title,
            rows=[_row(each, measured[each], measured[INTELGRAPH]) for each in names],
            generator_busy_max=max(one.generator_busy for taken in measured.values() for one in taken),
        )

    async def _pgbench(self, query: Query, seconds: float) -> _Measured:
        before_s = self.site.database_cpu_s()
        sample = await pgbench(self.site, query, seconds)
        return _Measured(sample=sample, database_cpu_us=(self.site.database_cpu_s() - before_s) / sample.writes * 1e6)

    async def _load(self, running: Running, query: str, seconds: float) -> _Measured:
        job = ReadJob(
            run=f"{next(self._numbers)}", port=running.port, head=running.head, dialect=running.contestant.dialect,
            query=query, connections=IN_FLIGHT, seconds=seconds, cpu=self.site.pins.rest,
        )  # fmt: skip
        before_s, database_before_s = running.cpu_s(), self.site.database_cpu_s()
        said = await run_program(
            [sys.executable, "-m", "bench.read_load"], wait_s=seconds + _GRACE_S, given=msgspec.json.encode(job)
        )
        used_s, database_s = running.cpu_s() - before_s, self.site.database_cpu_s() - database_before_s
        sample = msgspec.json.decode(said, type=ReadSample)
        if sample.failures or not sample.writes:
            raise PathFailed(f"{running.contestant.name} refused requests of {query}: {sample.failures}")
        return _Measured(
            sample=sample,
            cpu_us=used_s / sample.writes * 1e6,
            database_cpu_us=database_s / sample.writes * 1e6,
            generator_busy=sample.generator_busy,
        )


def _row(name: str, measured: list[_Measured], intelgraph: list[_Measured]) -> Row:
    samples = [one.sample for one in measured]
    cpu_us = [one.cpu_us for one in measured if one.cpu_us is not None]
    timed = bool(samples[0].latencies_ms)
    return Row(
        contestant=name,
        per_second=throughput(samples),
        intelgraph_over_it=ratio([one.sample for one in intelgraph], samples),
        p50_ms=latency_ms(samples, 0.5) if timed else None,
        p99_ms=latency_ms(samples, 0.99) if timed else None,
        server_cpu_us=spread(cpu_us) if cpu_us else None,
        database_cpu_us=spread([one.database_cpu_us for one in measured]),
    )


def verdicts(contests: Sequence[Contest]) -> list[Verdict]:
    """The limits of every contest."""
    found = []
    for contest in contests:
        ratios = {row.contestant: row.intelgraph_over_it.median for row in contest.rows}
        wanted = dict.fromkeys(_PEERS, WRITE_RATIO_WANTED if contest.query == WRITE else READ_RATIO_WANTED)
        found += [
            Verdict(claim=f"{contest.title}: IntelGraph / {name}", value=ratios[name], limit=limit, at_least=True)
            for name, limit in wanted.items()
        ]
        if contest.query in PGBENCH_RATIO_WANTED:
            found.append(
                Verdict(
                    claim=f"{contest.title}: IntelGraph, each request alone, / {PGBENCH}",
                    value=ratios[PGBENCH] / ratios[ALONE],
                    limit=PGBENCH_RATIO_WANTED[contest.query],
                    at_least=True,
                )
            )
    return found
