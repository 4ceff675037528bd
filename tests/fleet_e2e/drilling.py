"""How tests drill: a fleet on etcd with a witness, one drill by the command line, and whose member of etcd leads."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

from intelgraph.control.store.etcd_members import Members
from intelgraph.drill.course import drills_directory
from intelgraph.drill.report import Report, from_json
from intelgraph.fleet.etcd.control_status import read_control_status
from tests.fleet_e2e.running import RunningFleet, until

KEPT = Path(__file__).resolve().parents[2] / ".proof" / "drills"
_LED_WITHIN_S = 20.0


def drill(fleet: RunningFleet, *, fault: str, region: str, durability: str, for_s: float, seed: int = 0) -> Report:
    """Run one drill; its report, whatever it found; what did not hold outlives the fleet, in ``.proof/drills``."""
    told = fleet.cli_any(
        *("drill", "run", "region-loss", "--region", region, "--fault", fault, "--durability", durability),
        *("--for", f"{for_s}s", "--seed", str(seed)),
    )
    assert "error" not in told, told
    report = from_json(json.dumps(told).encode())
    if not report.holds:
        shutil.copytree(drills_directory(fleet.fleet) / report.id, KEPT / report.id, dirs_exist_ok=True)
    return report


def leader(fleet: RunningFleet) -> str:
    """The site whose member of etcd leads, as soon as all of them say the same."""

    def agreed() -> str | None:
        control = read_control_status(fleet.fleet)
        return control.leader if all(member.refusal is None for member in control.members) else None

    return str(until(agreed, _LED_WITHIN_S, "no member of etcd leads"))


def lead(fleet: RunningFleet, site: str) -> None:
    """Let the member at a site lead: the leader hands over."""
    led = leader(fleet)
    if led == site:
        return

    async def hand_over() -> None:
        urls = {each: f"http://127.0.0.1:{fleet.fleet.ports[f'{each}/etcd']}" for each in (led, site)}
        members = Members(list(urls.values()))
        try:
            told: dict[str, Any] = await members.ask(urls[site], "/v3/maintenance/status", {}, timeout_s=2.0)
            asked = {"targetID": told["header"]["member_id"]}
            await members.ask(urls[led], "/v3/maintenance/transfer-leadership", asked, timeout_s=5.0)
        finally:
            await members.close()

    asyncio.run(hand_over())
    until(lambda: leader(fleet) == site, _LED_WITHIN_S, f"the member of {site} does not lead")


def home(fleet: RunningFleet, placement: str) -> str | None:
    """Where a placement's home is; nothing if there is no such placement."""
    placements = fleet.cli("placement", "list")["placements"]
    return next((str(each["home"]) for each in placements if each["id"] == placement), None)
