"""Half an hour on a machine that others keep busy, at a load of 20 and more: nothing moves by itself.

`make prove ARGS=tests/proof/test_busy_machine.py`. What was found meanwhile, and the load, is in
``docs/proof/busy-machine.md``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fleet_e2e.running import AWAY, HOME, TWO_REGIONS, RunningFleet, started
from tests.proof.ledger import Ledger

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3_600)]
SPINNERS = 20
FOR_S = 1_800.0
LOOK_S = 15.0
BOTH = ("--regions", f"{HOME},{AWAY}", "--standby")


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many processes spinning for the length of the block."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in spinning:
            each.kill()
        for each in spinning:
            each.wait()


def epochs(fleet: RunningFleet) -> dict[str, tuple[str, int]]:
    """Each placement's home and epoch."""
    lines = fleet.cli("placement", "list")["placements"]
    return {line["id"]: (line["home"], line["epoch"]) for line in lines}


def test_nothing_moves_on_a_busy_machine() -> None:
    table = Ledger("busy-machine", "Half an hour at a load of 20: nothing moves by itself")
    with started(TWO_REGIONS) as fleet:
        fleet.tenant("here", *BOTH, AWAY, "--home", HOME, "--durability", "remote")
        fleet.tenant("there", *BOTH, HOME, "--home", AWAY, "--durability", "home")
        before, found, loads = epochs(fleet), Counter[str](), []
        with busy(SPINNERS):
            until_s = time.monotonic() + FOR_S
            while time.monotonic() < until_s:
                time.sleep(LOOK_S)
                loads.append(os.getloadavg()[0])
                standing = fleet.cli_any("status")["standing"]
                found.update({f"{each['code']} of {each['about']}" for each in standing["findings"]})
            after = epochs(fleet)
    table.record(
        "two regions",
        {
            "minutes": f"{FOR_S / 60:.0f}",
            "load p50": f"{sorted(loads)[len(loads) // 2]:.0f}",
            "looks": len(loads),
            "moves": sum(before[name][0] != home for name, (home, _) in after.items()),
            "epochs raised": sum(epoch - before[name][1] for name, (_, epoch) in after.items()),
            "findings, in so many looks": ", ".join(f"{what} {count}" for what, count in found.most_common()) or "none",
        },
    )
    assert {name: home for name, (home, _) in after.items()} == {name: home for name, (home, _) in before.items()}
