"""The act that asks the graph: one query in both regions, a path, and a mutation read back elsewhere."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import aiohttp

from intelgraph.demo.stage import ActFailed, Answered, Stage, check
from intelgraph.operations.edges import Edges

TENANT = "worldwide"
GROUPS = ("APT28", "APT29")
FIND = """query Find($name: String!) {
  entities(filter: {types: ["intrusion-set"], text: $name}, first: 1) {
    items { id name edges(types: ["uses"], first: 3) { completeness items { direction neighbor { type name } } } }
    total { count exact }
  }
}"""
PATHS = """query Paths($from: ID!, $to: ID!) {
  shortestPaths(from: $from, to: $to, first: 2) {
    completeness
    items { entities { type name } relationships { type } }
  }
}"""
SUBSCRIBE = """subscription Follow($after: String!, $type: String!) {
  changes(after: $after, filter: {types: [$type]}) { bookmark objects { kind id name revision } }
}"""
WRITE = """mutation Write($tool: EntityInput!, $uses: RelationshipInput!) {
  upsertEntities(entities: [$tool]) { status bookmark }
  relate(relationships: [$uses]) { objects { kind id revision } }
}"""


async def ask(stage: Stage, http: aiohttp.ClientSession, url: str, query: str, **more: Any) -> Answered:
    """Send a document to a region's ``/graphql``; ``more``: ``variables`` and ``bookmark``."""
    headers = {"IG-Bookmark": more["bookmark"]} if "bookmark" in more else {}
    body = {"query": query, "variables": more.get("variables", {})}
    return await stage.send(http, "POST", f"{url}/graphql", TENANT, body=body, headers=headers)


async def graph(stage: Stage, places: Edges, http: aiohttp.ClientSession, home: str, away: str) -> None:
    """Show the graph."""
    stage.act("The same GraphQL query in both regions: one statement each, one answer")
    found = {}
    for region in (home, away):
        told = await ask(stage, http, places.edges[region], FIND, variables={"name": GROUPS[0]})
        check(told.status == 200 and "errors" not in told.body, f"{region} answers the query: {told.body}")
        found[region] = told.body
        stage.say(f"POST {places.edges[region]}/graphql -> {told.status} in {told.seconds * 1000:.1f} ms")
    check(found[home] == found[away], "both regions answer the same")
    for line in json.dumps(found[home]["data"]["entities"], indent=2).splitlines():
        stage.say("  " + line)
    stage.act(f"From {GROUPS[0]} to {GROUPS[1]}: the shortest paths")
    ids = [await _group(stage, places, http, away, name) for name in GROUPS]
    told = await ask(stage, http, places.edges[away], PATHS, variables={"from": ids[0], "to": ids[1]})
    check(told.status == 200 and bool(told.body["data"]["shortestPaths"]["items"]), "there is a path")
    for path in told.body["data"]["shortestPaths"]["items"]:
        names = [f"{entity['name']} ({entity['type']})" for entity in path["entities"]]
        stage.say("  " + " - ".join(names))
    completeness = told.body["data"]["shortestPaths"]["completeness"]
    stage.say(f"  {completeness}: found in {told.seconds * 1000:.1f} ms")
    await _mutate(stage, places, http, ids[0], away)


async def follow(stage: Stage, places: Edges, http: aiohttp.ClientSession, home: str, away: str) -> None:
    """Show a subscription in one region hear of a write in the other."""
    stage.act("A subscription in eu-west hears of a write in us-east")
    entity = {"id": f"demo--{secrets.token_hex(4)}", "type": "x-demo", "name": "heard of"}
    before = await stage.write(http, places.edges[home], TENANT, entity | {"name": "before"})
    body = {"query": SUBSCRIBE, "variables": {"after": before.body["bookmark"], "type": entity["type"]}}
    headers = {"Authorization": f"Bearer {stage.token(TENANT)}", "Accept": "text/event-stream"}
    async with http.post(f"{places.edges[away]}/graphql", json=body, headers=headers) as events:
        check(events.status == 200, "the subscription is open")
        stage.say(f"POST {places.edges[away]}/graphql (Accept: text/event-stream) -> {events.status}")
        began = time.monotonic()
        written = await stage.write(http, places.edges[home], TENANT, entity)
        heard = await _first_event(events)
    seconds = time.monotonic() - began
    check(heard["data"]["changes"]["bookmark"] == written.body["bookmark"], "the change that was written is heard of")
    stage.say(f"  {json.dumps(heard['data'])}")
    stage.say(f"  {seconds * 1000:.1f} ms after the write was sent")
    await _by_hand(stage, places, http, home)


async def _by_hand(stage: Stage, places: Edges, http: aiohttp.ClientSession, home: str) -> None:
    url = f"{places.edges[home]}/graphiql"
    async with http.get(url) as page:
        if page.status == 200:
            stage.say(f"To ask by hand: {url} in a browser, with a token of `intelgraph token --tenant {TENANT}`")
        else:
            stage.say(f"{url} -> {page.status}: {(await page.json(content_type=None))['detail']}")


async def _first_event(events: aiohttp.ClientResponse) -> dict[str, Any]:
    async for line in events.content:
        if line.startswith(b"data: "):
            told: dict[str, Any] = json.loads(line[6:])
            return told
    raise ActFailed("the subscription ended without an event")


async def _group(stage: Stage, places: Edges, http: aiohttp.ClientSession, region: str, name: str) -> str:
    told = await ask(stage, http, places.edges[region], FIND, variables={"name": name})
    id_: str = told.body["data"]["entities"]["items"][0]["id"]
    return id_


async def _mutate(stage: Stage, places: Edges, http: aiohttp.ClientSession, group: str, away: str) -> None:
    stage.act("A mutation sent to eu-west: handed to its home, one transaction, read back where it was sent")
    tool, relationship = f"tool--demo-{secrets.token_hex(4)}", f"relationship--demo-{secrets.token_hex(4)}"
    variables = {
        "tool": {"id": tool, "type": "tool", "name": "A tool seen today"},
        "uses": {"id": relationship, "type": "uses", "source": group, "target": tool},
    }
    told = await ask(stage, http, places.edges[away], WRITE, variables=variables)
    check(told.status == 200 and "errors" not in told.body, "the mutation is acknowledged")
    stage.say(f"POST {places.edges[away]}/graphql -> {told.status} {json.dumps(told.body['data'])}")
    bookmark = told.headers["ig-bookmark"]
    query = "query ($id: ID!) { entity(id: $id) { name edges { items { direction neighbor { name } } } } }"
    read = await ask(stage, http, places.edges[away], query, variables={"id": tool}, bookmark=bookmark)
    check(read.status == 200 and read.body["data"]["entity"]["name"] == "A tool seen today", "the read sees it")
    stage.say(f"     read with IG-Bookmark: {bookmark} -> {json.dumps(read.body['data'])}")
