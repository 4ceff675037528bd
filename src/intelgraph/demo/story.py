"""The acts of the demo, in order. Each does something for real, shows it, and checks it."""

from __future__ import annotations

import base64
import json
import secrets
import statistics
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp

from intelgraph.demo.graph_act import follow, graph
from intelgraph.demo.loss_act import losing_a_region
from intelgraph.demo.scan import search
from intelgraph.demo.stage import Answered, Stage, check
from intelgraph.operations.edges import Edges, find_edges

HOME, AWAY = "us-east", "eu-west"
#: tenant -> placement; the placements are made in the second act
TENANTS = {"northwind": "us-only", "rheinland": "eu-only", "worldwide": "both"}
_WRITES = 60
_READS = 100
_WARM_UP = 5


async def tell(stage: Stage) -> None:
    """Tell the whole story; raises ``ActFailed`` at the first thing that does not hold."""
    fleet(stage)
    tenants(stage)
    load(stage)
    equal(stage)
    places = find_edges(None, stage.topology)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        acts: list[Callable[[Stage, Edges, aiohttp.ClientSession], Coroutine[Any, Any, None]]] = [
            the_graph,
            read_your_writes,
            staleness,
            durability,
            residency,
            loss,
        ]
        for act in acts:
            await act(stage, places, http)
    stage.act("Everything that runs")
    stage.run("status")


def fleet(stage: Stage) -> None:
    """Bring the regions up."""
    stage.act("Two regions on this machine, all active")
    stage.run("up")


def tenants(stage: Stage) -> None:
    """Say where three tenants may live."""
    stage.act("Three tenants: one lives in the United States, one in Europe, one in both")
    stage.run("placement", "create", "us-only", "--regions", HOME)
    stage.run("placement", "create", "eu-only", "--regions", AWAY)
    both = ["--regions", f"{HOME},{AWAY}", "--home", HOME, "--standby", AWAY, "--durability", "remote"]
    stage.run("placement", "create", "both", *both)
    for tenant, placement in TENANTS.items():
        stage.run("tenant", "create", tenant, "--placement", placement)


def load(stage: Stage) -> None:
    """Give each of them MITRE ATT&CK."""
    stage.act("MITRE ATT&CK for each of them, read from STIX 2.1")
    for tenant in TENANTS:
        stage.run("import", "--sample", "attack", "--tenant", tenant)


def equal(stage: Stage) -> None:
    """Compare the regions' logs, and the content a client sees."""
    stage.act("What was written in us-east is in eu-west: equal logs, equal content")
    stage.run("verify", "--wait", "10")
    digests = set()
    for region in (HOME, AWAY):
        told = stage.run("export", "--tenant", "worldwide", "--region", region, "--digest-only")
        digests.add(told.strip())
    check(len(digests) == 1, "both regions export the same content")


async def the_graph(stage: Stage, places: Edges, http: aiohttp.ClientSession) -> None:
    """Ask the graph in both regions."""
    await graph(stage, places, http, HOME, AWAY)
    await follow(stage, places, http, HOME, AWAY)


async def loss(stage: Stage, places: Edges, http: aiohttp.ClientSession) -> None:
    """Lose a region, and have it back."""
    await losing_a_region(stage, places, http, HOME, AWAY)


async def read_your_writes(stage: Stage, places: Edges, http: aiohttp.ClientSession) -> None:
    """Write in one region and read in the other with the bookmark."""
    stage.act("A write in us-east, read back in eu-west with its bookmark")
    entity = {"id": "demo--greeting", "type": "x-demo", "name": f"hello {secrets.token_hex(4)}"}
    told = await stage.write(http, places.edges[HOME], "worldwide", entity)
    check(told.status == 200, "the write is acknowledged")
    stage.say(f"POST {places.edges[HOME]}/v1/changes -> {told.status} {json.dumps(told.body)}")
    bookmark = told.body["bookmark"]
    read = await stage.read(http, places.edges[AWAY], "worldwide", entity["id"], bookmark)
    check(read.status == 200 and read.body["name"] == entity["name"], "the read sees the write")
    shown = {name: read.headers.get(name) for name in ("ig-region", "ig-bookmark", "ig-staleness-ms", "ig-release")}
    stage.say(f"GET  {places.edges[AWAY]}/v1/entities/{entity['id']}  (IG-Bookmark: {bookmark})")
    stage.say(f"     -> {read.status} name={read.body['name']!r} {shown}")
    stale = 0
    for number in range(_READS):
        marked = entity | {"name": f"number {number}"}
        written = await stage.write(http, places.edges[HOME], "worldwide", marked)
        seen = await stage.read(http, places.edges[AWAY], "worldwide", entity["id"], written.body["bookmark"])
        stale += seen.status != 200 or seen.body["name"] != marked["name"]
    stage.say(f"{_READS} writes in us-east, each read in eu-west with its bookmark: {stale} stale")
    check(stale == 0, "no read with a bookmark is stale")


async def staleness(stage: Stage, places: Edges, http: aiohttp.ClientSession) -> None:
    """Show the lag that reads without a bookmark are told."""
    stage.act("How far behind is eu-west? Each answer says so, measured by echo through the log")
    said = []
    for _ in range(_READS):
        read = await stage.read(http, places.edges[AWAY], "worldwide", "demo--greeting")
        said.append(float(read.headers["ig-staleness-ms"]))
    stage.say(f"IG-Staleness-Ms over {_READS} reads: median {statistics.median(said):.1f}, highest {max(said):.1f}")


async def durability(stage: Stage, places: Edges, http: aiohttp.ClientSession) -> None:
    """Time writes that are acknowledged at home against those that wait for the standby."""
    stage.act("What durability costs: `home` answers when us-east has flushed, `remote` when eu-west has too")
    for tenant, kind in (("northwind", "home"), ("worldwide", "remote")):
        times = []
        for number in range(_WRITES + _WARM_UP):
            entity = {"id": "demo--timed", "type": "x-demo", "name": f"write {number}"}
            told = await stage.write(http, places.edges[HOME], tenant, entity)
            check(told.status == 200 and told.body["durability"] == kind, f"a {kind} write is acknowledged")
            if number >= _WARM_UP:
                times.append(told.seconds * 1000)
        times.sort()
        stage.say(f"{kind:6} {_WRITES} writes, one at a time: median {times[len(times) // 2]:.1f} ms, "
                  f"p95 {times[int(len(times) * 0.95)]:.1f} ms")  # fmt: skip


def _said(answer: Answered) -> str:
    return f"{answer.status} {json.dumps(answer.body)}"


async def residency(stage: Stage, places: Edges, http: aiohttp.ClientSession) -> None:
    """Refuse the European tenant in the United States, and look for its bytes there."""
    stage.act("The European tenant in us-east: refused, and not one byte of it stored")
    marker = secrets.token_bytes(24).hex()
    packed = base64.b64encode(secrets.token_bytes(24)).decode().rstrip("=")
    entity = {"id": f"demo--{marker}", "type": "x-demo", "name": packed, "properties": {"note": marker}}
    told = await stage.write(http, places.edges[AWAY], "rheinland", entity)
    check(told.status == 200, "the tenant writes in its own region")
    refused = await stage.read(http, places.edges[HOME], "rheinland", "demo--anything")
    check(refused.status == 421, "us-east refuses the tenant")
    stage.say(f"GET {places.edges[HOME]}/v1/entities/demo--anything  (a token of rheinland)")
    stage.say(f"     -> {_said(refused)}")
    needles = [marker.encode(), packed.encode(), bytes.fromhex(marker), base64.b64decode(packed + "==")]
    regions = places.site.state / "regions"
    for region, expected in ((HOME, False), (AWAY, True)):
        found = search(regions / region, needles)
        stage.say(
            f"searched {found.bytes / 1e6:.0f} MB in {found.files} files of {region} for a marker written just now: "
            f"{len(found.hits)} files hold it"
        )
        check(bool(found.hits) is expected, f"the marker is {'in' if expected else 'not in'} {region}")
