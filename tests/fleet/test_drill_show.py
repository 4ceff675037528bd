"""``drill show`` of a drill that was interrupted is a refusal like any other: a sentence, and JSON for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from intelgraph.drill.course import drills_directory
from intelgraph.drill.kept import make_id, reserve
from intelgraph.fleet.layout.places import settle
from intelgraph.fleet.layout.topology_file import load_topology

TOPOLOGY = 'state = "state"\nports = "free"\nzones = ["us"]\n[[region]]\nname = "us-east"\nzone = "us"\n'


def test_an_interrupted_drill_has_no_report_and_says_where_its_rest_is(place: Path) -> None:
    file = place / "intelgraph.toml"
    file.write_text(TOPOLOGY, encoding="utf-8")
    id = make_id("2026-01-31T08:00:00.000Z", "pause")
    directory = reserve(drills_directory(settle(load_topology(file), start=place)), id)
    command = [sys.executable, "-m", "intelgraph.cli.main", "drill", "show", id, "--json", "--topology", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["facts"]) == ("drill_interrupted", {"id": id, "directory": str(directory)})
