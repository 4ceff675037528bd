"""Writes that fail while the lease loop is well: said everywhere within seconds, and handed to who can take them.

The home's API hangs, or may not log in; its edge hangs; its postmaster hangs; its standby confirms nothing. Each time
``status``, its exit code, ``/readyz`` and the metrics say so, the placement moves if that helps, and all is well again
when the fault is gone.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Iterator

import pytest
import requests

from intelgraph.drill import faults
from intelgraph.placement.policy import Policy
from tests.fleet_e2e.running import (
    AWAY,
    GLOBAL,
    HOME,
    TWO_REGIONS,
    RunningFleet,
    started,
    until,
)
from tests.fleet_e2e.truth import Said, said
from tests.machine import stretched
from tests.pausing import paused

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(600)]
SAID_WITHIN_S = 20.0
"""Five seconds on a machine of one's own: `make prove` holds them; here only that it comes to be said."""
MOVED_WITHIN_S = 40.0
BOTH = ("--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY)
FAULTS = [
    "api-hung",
    pytest.param("postmaster-hung", marks=pytest.mark.prove),
    pytest.param("api-login", marks=pytest.mark.prove),
    pytest.param("edge-hung", marks=pytest.mark.prove),
]


@pytest.fixture(scope="module")
def fleet() -> Iterator[RunningFleet]:
    with started(TWO_REGIONS) as running:
        yield running


def well(fleet: RunningFleet) -> None:
    """Wait until everything says that all is well."""

    def everything() -> bool:
        look = said(fleet, HOME)
        return look.exit_code == 0 and look.ready and look.limits == {} and look.metrics["ig_writes_well"] == 1

    until(everything, 60.0, "all is not well")


def comes(fleet: RunningFleet, region: str, holds: object, within_s: float, what: str) -> Said:
    """Look until something holds; a look takes a second or two."""
    assert callable(holds)
    began_s = time.monotonic()
    while True:
        look = said(fleet, region)
        if holds(look):
            return look
        assert time.monotonic() - began_s < stretched(within_s, began_s), f"{what}: {look}"


@pytest.mark.parametrize("name", FAULTS)
def test_a_home_that_takes_no_writes_says_so_and_hands_over(fleet: RunningFleet, name: str) -> None:
    well(fleet)
    placement = name.replace("hung", "h")
    fleet.tenant(placement, *BOTH, "--durability", "remote")
    well(fleet)
    fault = faults.make(name, fleet.fleet, HOME)
    assert fault.missing() is None
    try:
        fault.inject(120.0)

        def is_said(look: Said) -> bool:
            """Everywhere; one look asks one after the other, so that the first of them may not know it yet."""
            by_its_doors = name == "api-hung" or HOME in (look.limits or {}).get("writes", "")
            by_its_agent = look.metrics.get("ig_writes_well") == 0
            counted = look.metrics.get('ig_findings{code="write_path"}') == 1
            return "write_path" in look.findings and by_its_doors and by_its_agent and counted

        look = comes(fleet, HOME, is_said, SAID_WITHIN_S, f"{name} is not said")
        assert look.exit_code == 1 and not look.ready
        assert look.findings["write_path"] == [HOME]
        moved = comes(fleet, HOME, lambda each: each.home(placement) == AWAY, MOVED_WITHIN_S, "nobody took over")
        line = moved.placements[placement]
        assert (line["declared_home"], line["standby"]) == (HOME, HOME), "handed over, and nothing declared anew"
        assert line["last_plan"].endswith("/switchover")
        assert not moved.ready, "the region is still broken"
    finally:
        fault.heal()
    well(fleet)
    assert said(fleet, HOME).home(placement) == AWAY, "nothing comes back by itself"


@pytest.mark.prove
def test_a_strict_placement_whose_standby_hears_nothing_is_not_called_ready(fleet: RunningFleet) -> None:
    well(fleet)
    fleet.tenant("strict", *BOTH, "--durability", "remote", "--on-standby-loss", "strict")
    fleet.tenant("lax", *BOTH, "--durability", "home", "--rpo", "5")
    well(fleet)
    fleet.cli("wan", HOME, AWAY, "--cut", "both")
    try:
        strict_link_cut_is_said(fleet)
    finally:
        fleet.cli("wan", HOME, AWAY, "--heal")
    well(fleet)


def strict_link_cut_is_said(fleet: RunningFleet) -> None:
    """Wait until everything says that the placements ``strict`` and ``lax`` take no writes: the link is cut."""

    def is_said(look: Said) -> bool:
        return bool(look.read_only("strict")) and bool(look.read_only("lax"))

    look = comes(fleet, HOME, is_said, SAID_WITHIN_S, "refused writes are not said")
    assert look.exit_code == 1 and not look.ready
    assert set(look.findings) & {"standby_lost", "standby_silent"}
    assert "lax" in look.findings["rpo_at_risk"]

    def doors_know(look: Said) -> bool:
        told = (look.limits or {}).get("placements", "")
        return "standby_lost" in told and "rpo_at_risk" in told

    comes(fleet, HOME, doors_know, SAID_WITHIN_S, "the doors do not say it")


@pytest.mark.prove
def test_a_region_whose_processes_are_stopped_has_no_part_that_is_called_ready(fleet: RunningFleet) -> None:
    well(fleet)
    parts = [f"{AWAY}/{kind}" for kind in ("postgres", "agent", "api", "feed", "edge")]

    with paused(*(identity.pid for part in parts for identity in fleet.processes(part))):

        def none_is_ready(look: Said) -> bool:
            return set(parts) <= look.unready.keys()

        look = comes(fleet, HOME, none_is_ready, SAID_WITHIN_S, "parts are called ready")
        assert look.exit_code == 1
        assert all("stopped" in look.unready[part] for part in parts)
    well(fleet)


def test_an_idle_transaction_of_another_database_holds_nothing_and_one_of_the_log_is_named(fleet: RunningFleet) -> None:
    """They are left open while a placement is moved."""
    fleet.tenant("moves", *BOTH, "--durability", "remote")
    well(fleet)
    asyncio.run(_idle_transactions(fleet))
    well(fleet)


async def _idle_transactions(fleet: RunningFleet) -> None:
    async with fleet.owner(HOME) as database, fleet.owner(HOME, database="postgres") as elsewhere:
        await elsewhere.execute("begin")
        await elsewhere.execute("select pg_current_xact_id()")
        await asyncio.to_thread(fleet.cli, "switchover", "--placement", "moves", "--to", AWAY)
        await asyncio.to_thread(fleet.cli, "verify", "--placement", "moves", "--wait", "30s")
        await asyncio.to_thread(fleet.cli, "switchover", "--placement", "moves", "--to", HOME)
        await database.execute("set idle_in_transaction_session_timeout = 0")
        pid = await database.fetchval("select pg_backend_pid()")
        await database.execute("begin")
        await database.execute("select pg_current_xact_id()")

        def is_said(look: Said) -> bool:
            ages = re.findall(rf"pid {pid} .* open for (\d+) s", " ".join(look.reasons.get("transaction_open", [])))
            return bool(ages) and int(ages[0]) > Policy().transaction_s_max

        look = await asyncio.to_thread(comes, fleet, HOME, is_said, SAID_WITHIN_S, "nobody names the transaction")
        assert look.exit_code == 1
        moved = await asyncio.to_thread(fleet.cli_any, "switchover", "--placement", "moves", "--to", AWAY)
        assert re.search(rf"pid {pid} \(ig_admin, .*idle in transaction", json.dumps(moved)), moved
        told = await asyncio.to_thread(fleet.cli_any, "verify", "--placement", "moves")
        assert any(f"pid {pid} " in each for each in told["compared"][0]["waits_for"])
        await database.execute("rollback")
        await asyncio.to_thread(fleet.cli, "switchover", "--placement", "moves", "--to", AWAY)


@pytest.mark.prove
def test_clients_are_led_past_a_region_that_cannot_hand_writes_on(fleet: RunningFleet) -> None:
    well(fleet)
    # A region is passed over when more placements are written at the one that it cannot reach.
    homes = [each["home"] for each in said(fleet, HOME).placements.values()]
    for number in range(max(1, 1 + homes.count(HOME) - homes.count(AWAY))):
        name = "far" if number == 0 else f"far-{number}"
        fleet.tenant(name, "--regions", f"{HOME},{AWAY}", "--home", AWAY, "--standby", HOME, "--durability", "home")
    well(fleet)
    fleet.cli("wan", HOME, AWAY, "--cut", "a-to-b")
    try:

        def is_passed_over() -> bool:
            answer = requests.get(f"{fleet.doors[HOME]}/readyz", timeout=5)
            return answer.status_code == 200 and answer.headers.get("x-envoy-degraded") == "true"

        until(is_passed_over, SAID_WITHIN_S, f"{HOME} is not passed over")
        assert (
            "home_unreached"
            in comes(
                fleet, HOME, lambda look: "home_unreached" in look.findings, SAID_WITHIN_S, "it is not said"
            ).findings
        )

        def is_taken_elsewhere() -> bool:
            answer = requests.post(
                f"{fleet.doors[GLOBAL]}/v1/changes",
                json={"operations": [{"op": "upsert_entity", "entity": {"id": "e", "type": "t", "name": "n"}}]},
                headers={
                    "authorization": f"Bearer {fleet.token('far')}",
                    "idempotency-key": str(uuid.uuid4()),
                    "ig-deadline-ms": "3000",
                },
                timeout=10,
            )
            return answer.status_code == 200 and answer.headers["ig-region"] == AWAY

        until(is_taken_elsewhere, SAID_WITHIN_S, "writers are kept where their writes cannot be handed on")
    finally:
        fleet.cli("wan", HOME, AWAY, "--heal")
    well(fleet)
    assert "x-envoy-degraded" not in requests.get(f"{fleet.doors[HOME]}/readyz", timeout=5).headers
