"""What ``status`` says of a fleet that has not got far."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from intelgraph.fleet.layout.places import settle
from intelgraph.fleet.layout.topology_file import load_topology


def test_a_fleet_whose_control_store_nobody_has_named_yet_is_shown_and_says_so(two_regions: Path) -> None:
    fleet = settle(load_topology(two_regions), start=two_regions.parent)
    command = [sys.executable, "-m", "intelgraph.cli.main", "status", "--topology", str(two_regions)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    refusal = json.loads(done.stdout)["standing"]["refusal"]
    assert str(fleet.control_config) in refusal and "intelgraph up" in refusal
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert f"leases and placements are not known: {refusal}" in text.stdout
