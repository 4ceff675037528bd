"""``python -m intelgraph.api --config region.json [--workers N]``: the API of one region.

One server process, which owns the port, and its workers. A worker that dies is replaced; workers end when the server
process does. What the workers count is added up in files under the region's directory, and told at another port by a
process beside them (``exposition``).
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from intelgraph import exposition
from intelgraph.api.http.lifeline import Lifeline
from intelgraph.api.policy import WorkerPolicy
from intelgraph.settings import RegionConfig, load_region_config


def main() -> None:
    """Read the arguments and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="intelgraph.api", description="Serve one region's HTTP API.")
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

    from intelgraph.api.app import App
    from intelgraph.api.http.server import listen
    from intelgraph.api.http.server import serve as serve_workers

    lifeline, policy = Lifeline(), WorkerPolicy()
    application = App(config, policy, lifeline=lifeline)
    beside = None
    if config.metrics_port:
        beside = exposition.command(config.api_host, config.metrics_port, files=str(directory))
    listening = listen(config.api_host, config.api_port, policy.http)
    try:
        serve_workers(application, listening, workers=workers, lifeline=lifeline, policy=policy.http, beside=beside)
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
