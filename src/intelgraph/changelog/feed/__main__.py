"""``python -m intelgraph.changelog.feed --config region.json``: the one feed process of a region, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import uvloop

from intelgraph.changelog.feed.process import Feed
from intelgraph.runtime.stop_signals import run_until_signal
from intelgraph.settings import load_region_config


def main() -> None:
    """Parse the arguments and run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Run the feed of one region.")
    parser.add_argument("--config", type=Path, required=True, help="the region's settings (region.json)")
    config = load_region_config(parser.parse_args().config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_until_signal(Feed(config).run()))


if __name__ == "__main__":
    main()
