"""``python -m intelgraph.api --config region.json [--workers N]``: the door of one region.

One server process, which owns the port, and its workers. A worker that dies is replaced; workers end when the server
process does. What the workers count is added up in files under the region's directory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
from pathlib import Path

from intelgraph.api.lifeline import Lifeline
from intelgraph.settings import RegionConfig, load_region_config

_BACKLOG = 1_024
_KEEP_ALIVE_HEADER_TIMEOUT_MS = 30_000
_KILL_AFTER_S = 5


def main() -> None:
    """Read the arguments and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="intelgraph.api", description="Serve one region's HTTP door.")
    parser.add_argument("--config", type=Path, required=True, help="the region's settings (region.json)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (default 1)")
    arguments = parser.parse_args()
    serve(load_region_config(arguments.config), workers=arguments.workers)


def serve(config: RegionConfig, *, workers: int) -> None:
    """Bind the region's port and serve with ``workers`` processes."""
    directory = Path(config.directory) / "run" / f"metrics-{os.getpid()}"
    _make_empty(directory)
    # The metrics library decides at import whether it counts in files, so this comes before the application's import.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)

    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server.mp import MPServer

    from intelgraph.api.app import App

    lifeline = Lifeline()

    class Stopping(MPServer):
        """The server, which tells its workers before it stops them."""

        def signal_handler_interrupt(self, *arguments: object) -> None:
            lifeline.cut()
            super().signal_handler_interrupt(*arguments)  # type: ignore[no-untyped-call]

    multiprocessing.set_start_method("fork", force=True)
    server = Stopping(
        "intelgraph.api",
        address=config.api_host,
        port=config.api_port,
        interface=Interfaces.ASGI,
        workers=workers,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        http1_settings=HTTP1Settings(header_read_timeout=_KEEP_ALIVE_HEADER_TIMEOUT_MS),
        log_access=False,
        log_level=LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=_KILL_AFTER_S,
    )
    try:
        server.serve(
            target_loader=lambda: App(config, metrics_directory=directory, lifeline=lifeline), wrap_loader=False
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _make_empty(directory: Path) -> None:
    for left_over in directory.parent.glob("metrics-*"):
        if not Path(f"/proc/{left_over.name.removeprefix('metrics-')}").exists():
            shutil.rmtree(left_over, ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)


if __name__ == "__main__":
    main()
