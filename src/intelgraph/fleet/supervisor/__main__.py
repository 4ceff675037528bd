"""``python -m intelgraph.fleet.supervisor``: the supervisor in the background, as ``intelgraph up`` starts it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from intelgraph.fleet.composition.region_files import prepare_servers, write_files
from intelgraph.fleet.layout.places import Fleet, settle
from intelgraph.fleet.layout.topology import ControlKind
from intelgraph.fleet.layout.topology_file import load_topology
from intelgraph.fleet.supervisor.supervision import refusal_path, the_only_one
from intelgraph.fleet.supervisor.supervisor import Supervisor
from intelgraph.model.errors import IntelGraphError
from intelgraph.runtime.whole_file import write_whole


def main() -> None:
    """Supervise the fleet of one topology until told to stop."""
    parser = argparse.ArgumentParser(prog="intelgraph.fleet.supervisor")
    parser.add_argument("--topology", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="where `intelgraph up` was typed")
    parser.add_argument("--control", type=ControlKind, help="the control store that was settled on")
    arguments = parser.parse_args()
    fleet = settle(load_topology(arguments.topology), start=arguments.start, control=arguments.control)
    try:
        with the_only_one(fleet):
            prepare_servers(fleet)
            write_files(fleet)
            asyncio.run(_supervise(fleet))
    except IntelGraphError as error:
        told = {"code": error.denied.code, "reason": error.denied.reason}
        write_whole(refusal_path(fleet), json.dumps(told))
        sys.stderr.write(f"{error.denied.reason}\n")
        sys.exit(1)


async def _supervise(fleet: Fleet) -> None:
    told: dict[str, str] = {}

    def tell_changes() -> None:
        status = supervisor.status()
        for part in (*status.steps, *status.parts):
            line = f"{part.name} is {part.phase.value}" + (f": {part.reason}" if part.reason else "")
            if told.get(part.name) != line:
                told[part.name] = line
                sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")
                sys.stderr.flush()

    supervisor = Supervisor(fleet, on_change=tell_changes)
    await supervisor.run()


if __name__ == "__main__":
    main()
