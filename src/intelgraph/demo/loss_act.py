"""The act in which a region is lost: taken over from by itself, back again, what it had not sent, and the way home."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp

from intelgraph.control.agent.controller.salvaging import name_text
from intelgraph.control.agent.observer.observing import Known
from intelgraph.demo.stage import ActFailed, Stage, check
from intelgraph.demo.steady_client import SteadyClient
from intelgraph.model.placement import Declared, Durability, Placement, Tenant
from intelgraph.operations.edges import Edges
from intelgraph.operations.placements import create_placement
from intelgraph.operations.salvage import list_waiting
from intelgraph.operations.tenants import create_tenant
from intelgraph.operations.view import wait_for_placements
from intelgraph.placement.plan import Plan

NEAR, NEARBY = "near", "nearby"
_TAKEN_OVER_S_MAX = 60.0
_BACK_S_MAX = 90.0
_CUTS_MAX = 3
_LOOK_S = 0.05


async def losing_a_region(stage: Stage, places: Edges, http: aiohttp.ClientSession, home: str, away: str) -> None:
    """Kill the home while clients write; show who takes over, what was lost, and that nothing stays lost."""
    stage.act(f"{home} is lost while clients write; nobody does anything")
    regions = (home, away)
    at_home = Declared(home=home, durability=Durability.HOME)
    near_home = Placement(
        id=NEAR, home=home, standby=away, regions=regions, epoch=1, durability=Durability.HOME, declared=at_home
    )
    await create_placement(stage.operator, near_home)
    await create_tenant(stage.operator, Tenant(id=NEARBY, placement=NEAR))
    stage.say(f"placement {NEAR} (tenant {NEARBY}) is `home`: acknowledged by {home} alone; `both` is `remote`")
    steady = SteadyClient(stage=stage, url=places.url, tenant="worldwide")
    near = SteadyClient(stage=stage, url=places.edges[home], tenant=NEARBY)
    far = SteadyClient(stage=stage, url=places.edges[away], tenant=NEARBY)
    await near.write(http, {"id": "demo--contested", "type": "x-demo", "name": "as both know it"})
    async with steady.at_work(http):
        await asyncio.sleep(1.0)
        unsent, contested = await _not_sent_in_time(stage, http, near, home, away)
        lost_s = time.monotonic()
        taking_over = asyncio.create_task(_watch_takeover(stage, steady, home, lost_s))
        await asyncio.to_thread(stage.run, "fault", "stop", home)
        await taking_over
        await far.write(http, {"id": "demo--contested", "type": "x-demo", "name": "as it is now"})
        told = [await _outcome(stage, http, places.edges[away], key) for key in (unsent, contested)]
        stage.say(
            f"two writes of {NEARBY} that only {home} had: their keys' outcomes in {away} are {' and '.join(told)}"
        )
        await _bring_back(stage, places, http, home, away, (unsent, contested))
        stage.act("Home again: a planned move, writes go on, nothing is lost")
        stage.run("failback", "--all")
        await asyncio.sleep(1.0)
    stage.say(
        f"the client of `worldwide` through all of this: {len(steady.writes)} writes, {steady.failed} failed, "
        f"the slowest took {steady.slowest_s:.1f} s"
    )
    check(steady.failed == 0, "a patient client sees no failed request")
    stage.run("verify", "--wait", "30")


async def _not_sent_in_time(
    stage: Stage, http: aiohttp.ClientSession, near: SteadyClient, home: str, away: str
) -> tuple[str, str]:
    """The same, again where so long passed since the cut that `both` goes on without its standby."""
    for _ in range(_CUTS_MAX):
        began_s = time.monotonic()
        keys = await _not_sent(stage, http, near, home, away)
        known = await _until(stage, lambda _: True, _BACK_S_MAX, "the placements cannot be read")
        if known.placements["both"].placement.standby == away and not known.is_under_way("both"):
            return keys
        stage.say(
            f"that took {time.monotonic() - began_s:.0f} s here, and a `remote` placement goes on as `home` when its "
            "standby has been silent for some seconds: the link is healed, and cut again when `both` is as before"
        )
        stage.run("wan", home, away, "--heal", quiet=True)
        await _until(stage, lambda known: _is_whole(known, away), _BACK_S_MAX, f"{away} is not standby again")
    raise ActFailed(f"the machine is too busy: `both` lost its standby {_CUTS_MAX} times before {home} was stopped")


def _is_whole(known: Known, standby: str) -> bool:
    both = known.placements["both"].placement
    return both.standby == standby and not both.is_degraded and not known.is_under_way("both")


async def _not_sent(
    stage: Stage, http: aiohttp.ClientSession, near: SteadyClient, home: str, away: str
) -> tuple[str, str]:
    stage.run("wan", home, away, "--cut", "a-to-b", "--reset")
    unsent = await near.write(http, {"id": "demo--unsent", "type": "x-demo", "name": f"known to {home} alone"})
    contested = await near.write(http, {"id": "demo--contested", "type": "x-demo", "name": f"as {home} had it"})
    check(near.failed == 0, f"{home} acknowledges `home` writes by itself")
    return unsent.key, contested.key


async def _watch_takeover(stage: Stage, steady: SteadyClient, home: str, began_s: float) -> None:
    """Print each step as it is seen in the control store, then what the client saw."""
    told = set[str]()

    def done(known: Known) -> bool:
        for name in (NEAR, "both"):
            plan = known.plan_of(name).plan
            line = None if plan is None else _step(plan)
            if line is not None and line not in told:
                told.add(line)
                stage.say(f"+{time.monotonic() - began_s:4.1f} s  {line}")
        moved = all(known.placements[name].placement.home != home for name in (NEAR, "both"))
        return moved and not any(known.is_under_way(name) for name in (NEAR, "both"))

    known = await _until(stage, done, _TAKEN_OVER_S_MAX, f"not every placement was taken over from {home}")
    times = known.plan_of("both").times
    epoch = known.placements["both"].placement.epoch
    while (first_s := steady.first_of_s(epoch)) is None:
        check(time.monotonic() - began_s < _TAKEN_OVER_S_MAX, "writes go on elsewhere")
        await asyncio.sleep(_LOOK_S)
    rpo = times.behind_s if times is not None and times.behind_s is not None else 0.0
    stage.say(f"RTO as the client saw it: {first_s - began_s:.1f} s until its next write was acknowledged")
    stage.say(f"RPO: `both` is remote: no write lost; `near` was {rpo:.2f} s behind when {home} was last heard of")


def _step(plan: Plan) -> str:
    what = plan.current.told if plan.current is not None else f"{plan.target} writes"
    return f"{plan.before.id}: {plan.kind.value} to {plan.target}: {what}"


async def _bring_back(
    stage: Stage, places: Edges, http: aiohttp.ClientSession, home: str, away: str, keys: tuple[str, str]
) -> None:
    stage.act(f"{home} comes back: it does not write; what it had not sent arrives and is decided about")
    stage.run("wan", home, away, "--heal", quiet=True)
    stage.run("fault", "start", home)
    began_s, wanted = time.monotonic(), ["adopted", "conflict"]
    while [await _outcome(stage, http, places.edges[away], key) for key in keys] != wanted:
        check(time.monotonic() - began_s < _BACK_S_MAX, f"what {home} had not sent is adopted or listed")
        await asyncio.sleep(0.2)
    stage.say(f"+{time.monotonic() - began_s:4.1f} s  the one nobody wrote over is adopted, the other is a conflict")
    stage.run("salvage", "list")
    _, row = (await list_waiting(stage.operator, NEAR)).rows[0]
    stage.run("salvage", "reject", "--placement", NEAR, name_text(row.name), "--reason", "the newer form is right")

    def back(known: Known) -> bool:
        return all(
            known.placements[name].placement.standby == home and not known.is_under_way(name) for name in (NEAR, "both")
        )

    await _until(stage, back, _BACK_S_MAX, f"{home} is not standby again")
    stage.say(f"+{time.monotonic() - began_s:4.1f} s  {home} has caught up and is standby again")


async def _outcome(stage: Stage, http: aiohttp.ClientSession, url: str, key: str) -> str:
    told = await stage.send(http, "GET", f"{url}/v1/outcomes/{key}", NEARBY)
    return str(told.body.get("outcome", told.status))


async def _until(stage: Stage, done: Callable[[Known], bool], wait_s: float, otherwise: str) -> Known:
    known = await wait_for_placements(stage.operator, done, within_s=wait_s)
    if known is None:
        raise ActFailed(otherwise)
    return known
