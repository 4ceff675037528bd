"""``intelgraph verify``: do all regions of a placement hold the same rows, up to a stable cut?"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import click
import msgspec

from intelgraph.changelog.comparison import Stream
from intelgraph.changelog.repair import Compared, compare, report
from intelgraph.cli.duration import Duration
from intelgraph.cli.owner import owner_connection
from intelgraph.cli.site import Site, fleet_options, json_option, run, show, the_site
from intelgraph.control.agent.observer.observing import WAITS_S
from intelgraph.control.agent.observer.own_database import OpenTransaction, transaction_text

_AGAIN_S = 0.05
_SETTLES_S = 3.0
"""For so long in all it is waited for what is equal to be settled too: the end of a life that is over never is."""


@click.command()
@click.option("--placement", help="Only this placement [default: all].")
@click.option(
    "--wait",
    "wait_s",
    type=Duration(),
    default="0s",
    show_default=True,
    help="For equality, and a few seconds more until all that was written before is compared.",
)
@fleet_options
@json_option
def command(state: Path | None, topology: Path | None, **rest: Any) -> None:
    """Compare the log digests of every placement between its regions. Exit code 1 when any differ.

    Compared is what both regions know to be settled; what lies beyond is listed, with what it waits for.

    \b
    Examples:
      intelgraph verify
      intelgraph verify --placement both --wait 10 --json
    """
    lines = run(_verify(the_site(state, topology), rest["placement"], rest["wait_s"]))
    shown = [line.text() for line in lines] or ["nothing to compare: no placement is in two regions"]
    show({"compared": [line.value() for line in lines]}, shown, as_json=bool(rest["as_json"]))
    if not all(line.good for line in lines):
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, kw_only=True)
class _Line:
    compared: Compared
    one: str
    gap: str | None
    rows: int
    waits_for: tuple[str, ...]

    @property
    def good(self) -> bool:
        return self.compared.equal and self.gap is None

    @property
    def ends(self) -> dict[Stream, int]:
        """By stream: the last position that was given out when this was looked at."""
        return {**self.compared.cut, **self.compared.beyond}

    def compares(self, ends: Mapping[Stream, int]) -> bool:
        """Whether everything up to ``ends`` is settled in both regions, and so was compared."""
        return all(self.compared.cut.get(stream, 0) >= last for stream, last in ends.items())

    def value(self) -> dict[str, Any]:
        cut = {f"{stream.origin}/{stream.life}": position for stream, position in self.compared.cut.items()}
        regions = [self.one, self.compared.peer]
        return {
            "placement": self.compared.placement,
            "regions": regions,
            "equal": self.compared.equal,
            "rows": self.rows,
            "cut": cut,
            "not_compared": self.not_compared,
            "waits_for": list(self.waits_for),
            "gap": self.gap,
        }

    @property
    def not_compared(self) -> dict[str, list[int]]:
        """By stream: the first and the last position that are not settled in both regions."""
        cut, beyond = self.compared.cut, self.compared.beyond
        return {f"{s.origin}/{s.life}": [cut.get(s, 0) + 1, last] for s, last in beyond.items()}

    def text(self) -> str:
        cut = ", ".join(f"{s.origin}/{s.life} up to {p}" for s, p in self.compared.cut.items()) or "nothing settled yet"
        verdict = "equal" if self.compared.equal else "DIFFERENT"
        gap = f"; {self.gap}" if self.gap else ""
        pair = f"{self.one} and {self.compared.peer}"
        beyond = ", ".join(f"{stream} from {first} to {last}" for stream, (first, last) in self.not_compared.items())
        rest = f"; not compared, since not settled in both: {beyond}" if beyond else ""
        waits = "".join(f"; {each}" for each in self.waits_for)
        return f"{self.compared.placement}: {pair} are {verdict}: {self.rows} rows, {cut}{gap}{rest}{waits}"


async def _verify(site: Site, only: str | None, wait_s: float) -> list[_Line]:
    async with AsyncExitStack() as stack:
        at = {
            name: await stack.enter_async_context(owner_connection(config.admin_database))
            for name, config in site.regions.items()
        }
        async with site.directory() as directory:
            records = [await directory.placement(only)] if only else await directory.placements()
        deadline, settling_s = time.monotonic() + wait_s, 0.0
        lines = []
        for record in records:
            for one, other in itertools.combinations(record.placement.regions, 2):
                ends: dict[Stream, int] | None = None
                while True:
                    line = await _compare(at, record.placement.id, one, other)
                    ends = line.ends if ends is None else ends
                    now = time.monotonic()
                    if now >= deadline or (line.good and (line.compares(ends) or settling_s >= _SETTLES_S)):
                        break
                    if line.good:
                        settling_s += _AGAIN_S
                    await asyncio.sleep(_AGAIN_S)
                lines.append(line)
        return lines


async def _compare(at: dict[str, asyncpg.Connection], placement: str, one: str, other: str) -> _Line:
    compared = await compare(at[one], at[other], placement=placement, peer=other)
    gaps = [
        f"{name} has a gap: {facts['gap']}"
        for name in (one, other)
        if (facts := (await report(at[name]))["placements"].get(placement)) and facts["gap"]
    ]
    rows = await at[one].fetchval(
        "select coalesce(sum(rows), 0)::bigint from ig.digest where placement = $1", placement
    )
    waits_for = [text for name in (one, other) if (text := await _waits_for(at[name], name)) is not None]
    gap = "; ".join(gaps) or None
    return _Line(compared=compared, one=one, gap=gap, rows=rows, waits_for=tuple(waits_for))


async def _waits_for(database: asyncpg.Connection, region: str) -> str | None:
    """Name the transaction that a region's log waits for, if one is open for long."""
    told = await database.fetchval("select ig.oldest_transaction()::text")
    oldest = None if told is None else msgspec.json.decode(told, type=OpenTransaction)
    return None if oldest is None or oldest.age_s < WAITS_S else transaction_text(oldest, region)
