"""Sites for tests of operations: a control store on a file, regions without databases, and what agents would do.

``Agents`` report every 50 ms that all is well, and carry out every plan that is recorded: no rows are moved.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from intelgraph.control import issuer
from intelgraph.control.agent.leases.keeper import LeaseValue
from intelgraph.control.directory.placements import PLACEMENTS, Directory
from intelgraph.control.directory.plans import changing, move, plan_from, wall_now
from intelgraph.control.directory.reports import REPORTS, WITNESS, Held, Holding, LeaseSeen, Report, encode_report
from intelgraph.control.store.keys import LEASES, PLANS
from intelgraph.control.store.protocol import ControlStore
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.model.actor import Actor, Channel
from intelgraph.model.placement import Durability, Placement
from intelgraph.operations.operator import Operator, Step
from intelgraph.operations.site import Site
from intelgraph.placement.write_path import UNPROBED
from intelgraph.settings import Database, Issuer, RegionConfig, SqliteControl

US, EU = "us-east", "eu-west"
BOTH = Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME)
PERSON = Actor(subject="a person", channel=Channel.HTTP, reason="a kernel update")


def region_config(state: Path, name: str, database: Database | None = None) -> RegionConfig:
    """A region's settings; nothing answers at its database unless one is given."""
    (port,) = free_ports(1)
    login = database or Database(host="127.0.0.1", port=port, user="nobody", password="")
    return RegionConfig(
        region=name,
        zone=name,
        directory=str(state / "regions" / name),
        database=login,
        admin_database=login,
        peers={},
        control=SqliteControl(path=str(state / "control.db")),
        issuer=Issuer(issuer=issuer.ISSUER, audience=issuer.AUDIENCE, jwks=""),
        api_host="127.0.0.1",
        api_port=port,
    )


def site_of(state: Path, databases: dict[str, Database] | None = None) -> Site:
    """us-east and eu-west."""
    regions = {name: region_config(state, name, (databases or {}).get(name)) for name in (US, EU)}
    return Site(state=state, regions=regions, control=SqliteControl(path=str(state / "control.db")))


def operator_of(site: Site, steps: list[Step] | None = None) -> Operator:
    """A person who came by HTTP; the steps are appended to a list."""
    return Operator(site=site, actor=PERSON, on_step=[].append if steps is None else steps.append)


@asynccontextmanager
async def agents_of(site: Site, *placements: Placement) -> AsyncIterator[ControlStore]:
    """The placements, and agents that keep leases, report and act, for the length of the block."""
    async with site.store() as store:
        for placement in placements:
            await Directory(store).create_placement(placement)
        leases = {LEASES + name: msgspec.json.encode(LeaseValue(counter=1, term=name, life=1, schema="s")) for name in
                  site.regions}  # fmt: skip
        assert await store.compare_and_set(expected=dict.fromkeys(leases, 0), writes=leases)
        for vantage in (*site.regions, WITNESS):
            await _report(store, vantage, list(site.regions), 1)
        at_work = asyncio.create_task(_work(store, list(site.regions)))
        try:
            yield store
        finally:
            at_work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await at_work


async def _work(store: ControlStore, regions: Sequence[str]) -> None:
    number = 1
    while True:
        number += 1
        for vantage in (*regions, WITNESS):
            await _report(store, vantage, regions, number)
        for entry in (await store.read(prefix=PLANS)).entries.values():
            plan = plan_from(entry)
            if plan.plan is not None and plan.plan.current is not None:
                await _act(store, entry.key.removeprefix(PLANS))
        await asyncio.sleep(0.05)


async def _report(store: ControlStore, vantage: str, regions: Sequence[str], number: int) -> None:
    placements = {record.placement.id: record.placement for record in await Directory(store).placements()}
    held = {
        name: Held(epoch=placement.epoch, whole=True, behind_s=0.0)
        for name, placement in placements.items()
        if vantage in placement.regions
    }
    report = Report(
        vantage=vantage,
        number=number,
        leases={name: LeaseSeen(counter=1, version=1, still_s=0.1, reached=True) for name in regions},
        holding=None if vantage == WITNESS else Holding(schema="s", placements=held),
        writes=None if vantage == WITNESS else UNPROBED,
    )
    key = REPORTS + vantage
    version = (await store.read([key])).entries[key].version
    await store.compare_and_set(expected={key: version}, writes={key: encode_report(report)})


async def _act(store: ControlStore, name: str) -> None:
    """The next action of a plan, as far as the control store sees it."""
    key = PLANS + name
    recorded = plan_from((await store.read([key])).entries[key])
    plan = recorded.plan
    assert plan is not None and recorded.times is not None
    if plan.current is None:
        return
    raises = plan.current.type.name == "raise"
    joined = changing(await Directory(store).placement(name), plan.after) if raises else None
    following = plan.moved()
    times = replace(recorded.times, finished_at=wall_now()) if following.current is None else recorded.times
    await move(store, recorded, following, times, joined)


async def placement_now(site: Site, name: str) -> Placement:
    """A placement as the store has it."""
    async with site.store() as store:
        assert (await store.read([PLACEMENTS + name])).entries
        return (await Directory(store).placement(name)).placement
