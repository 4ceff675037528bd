"""``make bench-against BASE=DIRECTORY``: is this tree slower than another one of IntelGraph, such as the last release?

Each tree brings a fleet of one region up, with its own code and its own ``.venv`` (run ``make setup-dev`` there), and
is given the same graph. Then the same load goes to one and to the other in turn, beginning with another one each time.
For each kind of request it prints the throughput of the base over this tree's, and this tree's CPU time for a request
over the base's: above 1 this tree is slower. Limits are printed as met or not met; they never fail the run.
Exit codes: 0 measured, 1 something could not be measured, 130 interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from msgspec import Struct

from bench.command import Say, options, show
from bench.paired import PAIRS_MIN, Paired, paired
from bench.place import intelgraph, make_directory, take_away
from bench.read_data import TENANT, batches
from bench.read_load import ReadJob, run_job
from bench.read_queries import BY_NAME, WRITE, Dialect
from bench.write_report import release_and_time

REGION = "us-east"
LIMIT = 1.05
"""For the upper bound: more is slower than the base."""
_BATCH = 500
_TOPOLOGY = f"""\
state = "state"
ports = "free"
zones = ["us"]
[[region]]
name = "{REGION}"
zone = "us"
"""
_LOADS = {"write": (WRITE, 1), "writes-of-8": (WRITE, 8), **{name: (name, 8) for name in BY_NAME}}


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A running fleet of one tree."""

    name: str
    port: int
    head: bytes
    parts: Sequence[psutil.Process]

    def cpu_s(self) -> dict[int, float]:
        """CPU time that each of its processes has used so far."""
        used_s: dict[int, float] = {}
        for part in self.parts:
            for process in (part, *part.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = process.cpu_times()
                    used_s[process.pid] = times.user + times.system
        return used_s


class Row(Struct, frozen=True, kw_only=True):
    """One kind of request. ``slower``: the base's throughput over this tree's; ``dearer``: CPU time for a request."""

    load: str
    per_second: float
    base_per_second: float
    slower: Paired
    dearer: Paired

    @property
    def met(self) -> bool:
        """Whether it is not slower, by throughput; CPU time says where to look."""
        return self.slower.high <= LIMIT


class Report(Struct, frozen=True, kw_only=True):
    """What was measured."""

    release: str
    at: str
    base: str
    rows: list[Row]


async def measure(base: Path, loads: Sequence[str], *, pairs: int, seconds: float, say: Say) -> Report:
    """Bring both up and load them in turn."""
    async with _fleet("base", base, say) as before, _fleet("this tree", Path(__file__).parents[1], say) as now:
        for load in loads:
            say(f"warming up: {load}")
            for tree in (before, now):
                await _load(tree, load, f"warm-{load}", seconds)
        rows = [await _row(load, before, now, pairs=pairs, seconds=seconds, say=say) for load in loads]
    release, at = release_and_time()
    return Report(release=release, at=at, base=str(base), rows=rows)


async def _row(load: str, before: Tree, now: Tree, *, pairs: int, seconds: float, say: Say) -> Row:
    per_second: dict[str, list[float]] = {before.name: [], now.name: []}
    cost_s: dict[str, list[float]] = {before.name: [], now.name: []}
    for turn in range(pairs):
        say(f"{load}: pair {turn + 1} of {pairs}")
        for tree in (before, now) if turn % 2 else (now, before):
            rate, cost = await _load(tree, load, f"{load}-{turn}", seconds)
            per_second[tree.name].append(rate)
            cost_s[tree.name].append(cost)
    return Row(
        load=load,
        per_second=sorted(per_second[now.name])[pairs // 2],
        base_per_second=sorted(per_second[before.name])[pairs // 2],
        slower=paired(per_second[before.name], per_second[now.name]),
        dearer=paired(cost_s[now.name], cost_s[before.name]),
    )


async def _load(tree: Tree, load: str, run: str, seconds: float) -> tuple[float, float]:
    """Requests a second, and the CPU time of each."""
    query, connections = _LOADS[load]
    job = ReadJob(
        run=run, port=tree.port, head=tree.head, dialect=Dialect.INTELGRAPH, query=query, connections=connections,
        seconds=seconds, cpu=None,
    )  # fmt: skip
    began_s = tree.cpu_s()
    sample = await run_job(job)
    if sample.failures or not sample.writes:
        raise RuntimeError(f"{load} at {tree.name}: {sample.failures or 'no answer'}")
    used_s = sum(now_s - began_s.get(process, 0.0) for process, now_s in tree.cpu_s().items())
    return sample.per_second, used_s / sample.writes


@contextlib.asynccontextmanager
async def _fleet(name: str, root: Path, say: Say) -> AsyncIterator[Tree]:
    """Bring a tree's fleet up and give it the graph; it is stopped and its data deleted however this ends."""
    python = root / ".venv" / "bin" / "python"
    if not python.exists():
        raise RuntimeError(f"there is no {python}: run `make setup-dev` in {root}")
    directory = make_directory()
    topology = directory / "intelgraph.toml"
    topology.write_text(_TOPOLOGY, encoding="utf-8")
    try:
        say(f"{name}: bringing a fleet up")
        await intelgraph(topology, "up", "--json", python=python)
        await intelgraph(topology, "placement", "create", TENANT, "--regions", REGION, "--home", REGION, python=python)
        await intelgraph(topology, "tenant", "create", TENANT, "--placement", TENANT, python=python)
        asked = ("token", "--tenant", TENANT, "--role", "admin", "--ttl", "4h", "--json")
        token = json.loads(await intelgraph(topology, *asked, python=python))["token"]
        status = json.loads(await intelgraph(topology, "status", "--json", python=python))
        port = int(status["addresses"][REGION].rpartition(":")[2])
        say(f"{name}: writing the graph")
        await asyncio.to_thread(_fill, port, token)
        parts = [psutil.Process(each["part"]["pid"]) for each in status["parts"]]
        yield Tree(name=name, port=port, head=_head(token), parts=parts)
    finally:
        say(f"{name}: stopping the fleet and deleting its data")
        await asyncio.shield(take_away(topology, directory, python=python))


def _head(token: str) -> bytes:
    return (
        "POST /graphql HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {token}\r\n"
    ).encode()


def _fill(port: int, token: str) -> None:
    for key, operations in batches(_BATCH):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/changes",
            data=b'{"operations":%b}' % operations,
            headers={"authorization": f"Bearer {token}", "content-type": "application/json", "idempotency-key": key},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()


def lines(report: Report) -> Sequence[str]:
    """The table for people."""
    table = [
        f"{report.release}, {report.at}, against {report.base}: medians; above 1 this tree is slower; 95 % bounds",
        "",
        f"  {'request':<20}{'a second':>10}{'base':>10}   {'base / this, a second':<26}CPU of this / base",
    ]
    for row in report.rows:
        rates = f"{row.per_second:>10,.0f}{row.base_per_second:>10,.0f}"
        table.append(f"  {row.load:<20}{rates}   {row.slower.text():<26}{row.dearer.text()}")
    table.append("")
    for row in report.rows:
        outcome = "met" if row.met else "NOT MET"
        table.append(f"  {outcome:<8} {row.load}: not slower than the base (upper bound <= {LIMIT})")
    return table


def main() -> int:
    """Measure, print the table, write the JSON."""
    parser = options("against", "Compare this tree with another one.", quick="windows of half a second, for a look")
    parser.add_argument("base", type=Path, metavar="DIRECTORY", help="the other tree, set up by `make setup-dev`")
    parser.add_argument("--pairs", type=int, default=PAIRS_MIN + 5, help="of each kind of request (default: 20)")
    parser.add_argument("--only", action="append", choices=_LOADS, help="of these kinds of request (may be repeated)")
    given = parser.parse_args()
    if given.pairs < PAIRS_MIN:
        parser.error(f"--pairs {given.pairs} is too few; at least {PAIRS_MIN} say something")
    seconds = 0.5 if given.quick else 1.5
    base = given.base.resolve()
    return show(
        given,
        parser.prog,
        lambda say: measure(base, given.only or list(_LOADS), pairs=given.pairs, seconds=seconds, say=say),
        lines,
    )


if __name__ == "__main__":
    sys.exit(main())
