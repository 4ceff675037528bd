"""What every query must answer: graphql-core's own executor over objects in memory, written for clearness alone."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from graphql import ExecutionResult, GraphQLError, GraphQLResolveInfo, GraphQLSchema, graphql_sync

from intelgraph.graph.query.schema import load_schema

from .cursors import cursor

Object = dict[str, Any]


@dataclass(kw_only=True)
class Graph:
    """Live entities and relationships by id, each with the fields of its GraphQL type in Python's values."""

    entities: dict[str, Object] = field(default_factory=dict)
    relationships: dict[str, Object] = field(default_factory=dict)

    def step(self, from_: set[str], direction: str, types: list[str] | None) -> set[str]:
        return {there for here in from_ for _, there in self.between(here, direction, types)}

    def between(self, here: str, direction: str, types: list[str] | None) -> list[tuple[str, str]]:
        found = []
        for r in self.relationships.values():
            if types is not None and r["type"] not in types:
                continue
            if direction != "IN" and r["source"] == here:
                found.append((r["id"], r["target"]))
            if direction != "OUT" and r["target"] == here:
                found.append((r["id"], r["source"]))
        return sorted(set(found))


def stamp(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def execute(graph: Graph, text: str, variables: dict[str, Any] | None = None) -> ExecutionResult:
    """Answer a document."""
    return graphql_sync(_schema(), text, root_value=graph, context_value=graph, variable_values=variables)


_MADE: list[GraphQLSchema] = []


def _schema() -> GraphQLSchema:
    if not _MADE:
        load_schema.cache_clear()
        schema = load_schema()
        load_schema.cache_clear()
        for (type_name, name), resolve in RESOLVERS.items():
            schema.type_map[type_name].fields[name].resolve = resolve  # type: ignore[attr-defined]
        schema.type_map["Node"].resolve_type = lambda value, *_: (  # type: ignore[attr-defined]
            "Relationship" if "source" in value else "Entity"
        )
        _MADE.append(schema)
    return _MADE[0]


def _within(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise GraphQLError(f"{name} is refused: it must be from {low} to {high}, not {value}")
    return value


def _page(rows: list[Object], first: int, cursor: Any) -> Object:
    more = len(rows) > first
    return {
        "items": rows[:first],
        "completeness": "MORE" if more else "COMPLETE",
        "next": cursor(rows[first - 1]) if more and first else None,
    }


def edges(entity: Object, info: GraphQLResolveInfo, **args: Any) -> Object:
    graph: Graph = info.context
    first = _within("first", args["first"], 0, 1000)
    after = None if args.get("after") is None else _place("edges", args["after"])
    found = []
    for r in sorted(graph.relationships.values(), key=lambda r: r["id"]):
        out, into = r["source"] == entity["id"], r["target"] == entity["id"]
        asked = {"OUT": out, "IN": into, "ANY": out or into}[args["direction"]]
        way = None if not asked else "OUT" if out else "IN"
        if way is None or (args.get("types") is not None and r["type"] not in args["types"]):
            continue
        if after is not None and r["id"] <= after:
            continue
        neighbor = r["target"] if way == "OUT" else r["source"]
        found.append(
            {
                "direction": way,
                "relationship": r,
                "neighborId": neighbor,
                "neighbor": graph.entities.get(neighbor),
            }
        )
    return _page(found, first, lambda edge: cursor("edges", edge["relationship"]["id"]))


def entities(graph: Graph, _info: GraphQLResolveInfo, **args: Any) -> Object:
    first = _within("first", args["first"], 0, 1000)
    given = args.get("filter") or {}
    rows = [e for e in graph.entities.values() if _matches(e, given)]
    by_time = args["orderBy"].startswith("UPDATED")
    rows.sort(
        key=lambda e: (e["updated"], e["id"]) if by_time else (e["id"],), reverse=args["orderBy"].endswith("DESC")
    )
    if args.get("after") is not None:
        given_place = _place(args["orderBy"], args["after"])
        at = _moment(given_place) if by_time else (given_place,)
        place = [(e["updated"], e["id"]) if by_time else (e["id"],) for e in rows]
        rows_after = [
            e for e, p in zip(rows, place, strict=True) if (p < at if args["orderBy"].endswith("DESC") else p > at)
        ]
    else:
        rows_after = rows
    total = {"count": min(len(rows), 10_000), "exact": len(rows) <= 10_000}

    def next_of(e: Object) -> str:
        return cursor(args["orderBy"], json.dumps([stamp(e["updated"]), e["id"]]) if by_time else e["id"])

    return {**_page(rows_after, first, next_of), "total": total}


def _place(list_name: str, given: str) -> str:
    name, _, rest = given.partition(":")
    place = rest.partition(":")[2]
    if name != list_name or given != cursor(name, place):
        raise GraphQLError("after is refused: it is not what such a list, in this order, gave as `next`")
    return place


def _moment(place: str) -> tuple[datetime, str]:
    at, id_ = json.loads(place)
    return datetime.fromisoformat(at), id_


def is_found(name: str, description: str, text: str) -> bool:
    """Whether a search finds it: runs that are joined stand joined in it too; the last of them may only have begun."""
    found = [[run for part in _joined_runs(name) for run in part], *_joined_runs(description)]
    return all(
        any(
            part[at : at + len(wanted) - 1] == wanted[:-1] and part[at + len(wanted) - 1].startswith(wanted[-1])
            for part in found
            for at in range(len(part) - len(wanted) + 1)
        )
        for wanted in _joined_runs(text)
    )


def _joined_runs(text: str) -> list[list[str]]:
    plain = re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text)).lower()
    parts = [re.findall(r"\d+|[^\W\d_]+", part) for part in plain.split()]
    return [part for part in parts if part]


def _matches(entity: Object, given: Object) -> bool:
    return all(HOLDS[name](entity, value) for name, value in given.items() if value is not None)


HOLDS: dict[str, Callable[[Object, Any], bool]] = {
    "ids": lambda e, ids: e["id"] in ids,
    "types": lambda e, types: e["type"] in types,
    "confidenceMin": lambda e, low: e["confidence"] is not None and e["confidence"] >= low,
    "confidenceMax": lambda e, high: e["confidence"] is not None and e["confidence"] <= high,
    "updatedFrom": lambda e, at: e["updated"] >= at,
    "updatedBefore": lambda e, at: e["updated"] < at,
    "validAt": lambda e, at: (
        (e["validFrom"] is None or e["validFrom"] <= at) and (e["validUntil"] is None or e["validUntil"] >= at)
    ),
    "properties": lambda e, wanted: all(e["properties"].get(name) == value for name, value in wanted.items()),
    "text": lambda e, text: is_found(e["name"], e["properties"].get("description", ""), text),
}


def neighborhood(graph: Graph, _info: GraphQLResolveInfo, **args: Any) -> Object:
    starts = args["of"]
    if not starts:
        raise GraphQLError("of is refused: it must name at least one entity")
    if len(starts) > 100:
        raise GraphQLError(f"of is refused: it names {len(starts)}; the limit is 100")
    hops, nodes = _within("hops", args["hops"], 0, 6), _within("nodes", args["nodes"], 1, 5000)
    types = args.get("types")
    frontier = sorted({s for s in starts if s in graph.entities})
    truncated = len(frontier) > nodes
    frontier = frontier[:nodes]
    at = dict.fromkeys(frontier, 0)
    for hop in range(1, hops + 1):
        if not frontier or truncated:
            break
        room = nodes - len(at)
        found = sorted(graph.step(set(frontier), args["direction"], types) - at.keys())
        truncated = len(found) > room
        frontier = found[:room]
        at |= dict.fromkeys(frontier, hop)
    along = {
        r
        for here, hop in at.items()
        if hop < hops
        for r, there in graph.between(here, args["direction"], types)
        if there in at
    }
    return {
        "items": [
            {"hops": hop, "entity": graph.entities[here]}
            for here, hop in sorted(at.items(), key=lambda p: (p[1], p[0]))
        ],
        "relationships": [graph.relationships[r] for r in sorted(along)],
        "completeness": "TRUNCATED" if truncated else "COMPLETE",
    }


def shortest_paths(graph: Graph, _info: GraphQLResolveInfo, **args: Any) -> Object:
    start, end = args["from"], args["to"]
    hops, first = _within("hops", args["hops"], 1, 6), _within("first", args["first"], 1, 100)
    if start not in graph.entities or end not in graph.entities:
        return {"items": [], "completeness": "COMPLETE"}
    paths: list[tuple[list[str], list[str]]] = [([start], [])]
    seen = {start}
    for _ in range(hops):
        if any(entities[-1] == end for entities, _ in paths):
            break
        longer = [
            ([*entities, there], [*along, r])
            for entities, along in paths
            for r, there in graph.between(entities[-1], args["direction"], args.get("types"))
            if there not in seen
        ]
        seen |= {entities[-1] for entities, _ in longer}
        paths = longer
    found = sorted(path for path in paths if path[0][-1] == end)
    return {
        "items": [
            {
                "entities": [graph.entities[e] for e in entities],
                "relationships": [graph.relationships[r] for r in along],
            }
            for entities, along in found[:first]
        ],
        "completeness": "TRUNCATED" if len(found) > first else "COMPLETE",
    }


def stats(graph: Graph, _info: GraphQLResolveInfo) -> Object:
    def counted(objects: dict[str, Object]) -> list[Object]:
        counts = Counter(o["type"] for o in objects.values())
        return [{"type": t, "count": n} for t, n in sorted(counts.items(), key=lambda p: (-p[1], p[0]))]

    return {
        "graph": graph,
        "entities": len(graph.entities),
        "relationships": len(graph.relationships),
        "entityTypes": counted(graph.entities),
        "relationshipTypes": counted(graph.relationships),
    }


def created(graph: Graph, _info: GraphQLResolveInfo, **args: Any) -> Object:
    first = _within("first", args["first"], 0, 1000)
    spans = Counter(_span(args["unit"], e["created"]) for e in graph.entities.values())
    rows = [{"from": stamp(at), "count": n} for at, n in sorted(spans.items(), reverse=True)]
    page = _page(rows, first, lambda _: None)
    return {"items": page["items"], "completeness": page["completeness"]}


def _span(unit: str, at: datetime) -> datetime:
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "HOUR": day.replace(hour=at.astimezone(UTC).hour),
        "DAY": day,
        "WEEK": day - timedelta(days=day.weekday()),
        "MONTH": day.replace(day=1),
        "YEAR": day.replace(month=1, day=1),
    }[unit]


RESOLVERS: dict[tuple[str, str], Any] = {
    ("Query", "entity"): lambda g, _i, id: g.entities.get(id),
    ("Query", "relationship"): lambda g, _i, id: g.relationships.get(id),
    ("Query", "node"): lambda g, _i, id: g.entities.get(id) or g.relationships.get(id),
    ("Query", "entities"): entities,
    ("Query", "neighborhood"): neighborhood,
    ("Query", "shortestPaths"): shortest_paths,
    ("Query", "stats"): stats,
    ("Entity", "edges"): edges,
    ("Stats", "entitiesCreated"): lambda s, i, **args: created(s["graph"], i, **args),
    ("Relationship", "sourceId"): lambda r, _i: r["source"],
    ("Relationship", "targetId"): lambda r, _i: r["target"],
    ("Relationship", "source"): lambda r, i: i.context.entities.get(r["source"]),
    ("Relationship", "target"): lambda r, i: i.context.entities.get(r["target"]),
    **{
        (type_name, name): (lambda o, _i, name=name: stamp(o[name]))
        for type_name in ("Entity", "Relationship")
        for name in ("validFrom", "validUntil", "created", "updated")
    },
}
