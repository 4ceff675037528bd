"""The whole show: tell the story, then stay up until Ctrl-C (or end at once), and take the fleet down again."""

from __future__ import annotations

import asyncio
import signal
import time
from types import FrameType

from intelgraph.demo.stage import INTERRUPTED, ActFailed, Stage
from intelgraph.demo.story import AWAY, HOME, tell
from intelgraph.fleet.supervisor.status import Request
from intelgraph.fleet.supervisor.supervision import ask
from intelgraph.model.errors import refuse
from intelgraph.operations.edges import find_edges
from intelgraph.operations.fleet.location import find_location


def show(stage: Stage, *, leave: bool) -> int:
    """Play it all; returns the exit code: 1 if something did not hold. ``leave``: the fleet is stopped after the show.

    Ctrl-C and SIGTERM end it, and the fleet is stopped all the same; the exit code is 130 if the show was not over.
    ``not_for_the_demo``: a fleet that somebody uses is neither written to nor stopped.
    """
    _refuse_another_fleet(stage)
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


def _refuse_another_fleet(stage: Stage) -> None:
    location = find_location(stage.topology)
    regions = [region.name for region in location.file.topology.regions]
    fleet, elsewhere = location.recorded(), "call it in a directory of its own"
    if not {HOME, AWAY} <= set(regions):
        raise refuse(
            "not_for_the_demo",
            f"the demo is refused: it plays in {HOME} and {AWAY}, and {location.file.path} has {', '.join(regions)}; "
            f"{elsewhere}",
        )
    if fleet.id and ask(fleet, Request(do="status")) is not None:
        raise refuse(
            "not_for_the_demo",
            f"the demo is refused: the fleet in {fleet.state} runs already, and the demo would write to it and stop it "
            f"at its end; `intelgraph down` first, or {elsewhere}",
        )


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
