"""The whole show: tell the story, then stay up until Ctrl-C (or end at once), and take the fleet down again."""

from __future__ import annotations

import asyncio
import signal
import time
from types import FrameType

from intelgraph.demo.stage import INTERRUPTED, ActFailed, Stage
from intelgraph.demo.story import AWAY, HOME, tell
from intelgraph.operations.edges import find_edges


def show(stage: Stage, *, leave: bool) -> int:
    """Play it all; returns the exit code: 1 if something did not hold. ``leave``: the fleet is stopped after the show.

    Ctrl-C and SIGTERM end it, and the fleet is stopped all the same; the exit code is 130 if the show was not over.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    began_s = time.monotonic()
    code = INTERRUPTED
    try:
        asyncio.run(tell(stage))
        code = 0
        stage.say(f"The show took {time.monotonic() - began_s:.0f} s.")
        if not leave:
            _stay(stage)
    except ActFailed as failure:
        stage.audience.failed(f"The demo stops here: {failure}")
        code = 1
    except KeyboardInterrupt:
        stage.say("")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _stop(stage)
    return code


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stay(stage: Stage) -> None:
    edges = find_edges(None, stage.topology)
    query = "--data-urlencode 'query={ stats { entities } }'"
    for line in (
        "It stays up. In another terminal:",
        "  intelgraph status",
        "  TOKEN=$(intelgraph token --tenant worldwide --role writer)",
        f"  GraphiQL: {edges.url}/graphiql",
        f'  curl -s {edges.url}/v1/entities?limit=3 -H "Authorization: Bearer $TOKEN"',
        f'  curl -s {edges.url}/graphql -H "Authorization: Bearer $TOKEN" -G {query}',
        f"  curl -N {edges.edges[AWAY]}/v1/changes -H \"Authorization: Bearer $TOKEN\" -H 'Accept: text/event-stream'",
        f"  intelgraph wan {HOME} {AWAY} --delay-ms 40      # a slower ocean",
        f"  intelgraph wan {HOME} {AWAY} --cut both --for 30s",
        f"  intelgraph fault stop {HOME}; intelgraph status; intelgraph fault start {HOME}; intelgraph failback --all",
        "  intelgraph verify --wait 10",
        "Ctrl-C stops everything.",
    ):
        stage.say(line)
    while True:
        time.sleep(3600)


def _stop(stage: Stage) -> None:
    try:
        stage.run("down")
    except ActFailed as failure:
        stage.audience.failed(str(failure))
