"""The whole show: tell the story, then stay up until Ctrl-C (or end with ``--exit``), and take the fleet down again."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import click

from intelgraph.cli.doors import find_places
from intelgraph.demo.stage import ActFailed, Stage
from intelgraph.demo.story import AWAY, HOME, tell


@click.command()
@click.option("--exit", "leave", is_flag=True, help="Stop the fleet after the show instead of staying up.")
@click.option("--topology", type=click.Path(path_type=Path, dir_okay=False), help="Another topology file.")
def show(leave: bool, topology: Path | None) -> None:
    """Bring two regions up, load MITRE ATT&CK, and show what IntelGraph promises."""
    signal.signal(signal.SIGTERM, _interrupt)
    stage = Stage(topology=topology)
    began = time.monotonic()
    code = 0
    try:
        asyncio.run(tell(stage))
        click.echo(f"\nThe show took {time.monotonic() - began:.0f} s.")
        if not leave:
            _stay(stage)
    except ActFailed as failure:
        click.echo(f"\nThe demo stops here: {failure}", err=True)
        code = 1
    except KeyboardInterrupt:
        click.echo("")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _stop(stage)
    sys.exit(code)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stay(stage: Stage) -> None:
    places = find_places(None, stage.topology)
    click.echo(f"""
It stays up. In another terminal (with .venv/bin on the PATH):
   intelgraph status
   TOKEN=$(intelgraph token --tenant worldwide --role writer)
   GraphiQL: {places.url}/graphiql
   curl -s {places.url}/v1/entities?limit=3 -H "Authorization: Bearer $TOKEN"
   curl -s {places.url}/graphql -H "Authorization: Bearer $TOKEN" -G --data-urlencode 'query={{ stats {{ entities }} }}'
   curl -N {places.edges[AWAY]}/v1/changes -H "Authorization: Bearer $TOKEN" -H 'Accept: text/event-stream'
   intelgraph wan {HOME} {AWAY} --delay-ms 40      # a slower ocean
   intelgraph wan {HOME} {AWAY} --cut both --for 30s
   intelgraph fault stop {HOME}; intelgraph status; intelgraph fault start {HOME}; intelgraph failback --all
   intelgraph verify --wait 10
Ctrl-C stops everything.""")
    while True:
        time.sleep(3600)


def _stop(stage: Stage) -> None:
    try:
        stage.run("down")
    except ActFailed as failure:
        click.echo(str(failure), err=True)
