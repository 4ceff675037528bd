"""Searches over several relationships: the neighborhood of some entities, and the shortest paths between two.

The search itself is a function of the database (``ig.reach``, ``ig.paths``), bounded by the budget it is given; here
its result is turned into the objects that were asked for.
"""

from __future__ import annotations

from intelgraph.graph.query.objects import Objects
from intelgraph.graph.query.pages import Part, page, text, texts, within
from intelgraph.graph.query.selection import Args, Selected
from intelgraph.graph.query.statement import TENANT, ArgumentRefused, json_list, json_object

STARTS_MAX = 100
HOPS_MAX = 6
NODES_MAX = 5_000
PATHS_MAX = 100


def _starts(args: Args) -> list[str]:
    starts = texts(args, "of", STARTS_MAX)
    if not starts:
        raise ArgumentRefused("of is refused: it must name at least one entity")
    return starts


def _along(objects: Objects, field: Selected, args: Args) -> tuple[str, str]:
    """Return the SQL of the direction and of the types to go along."""
    types = "null::text[]"
    if args.get("types") is not None:
        types = objects.builder.parameter(field.number, "text[]", lambda a: texts(a, "types"))
    return f"'{args['direction']}'", types


def neighborhood(objects: Objects, field: Selected, args: Args) -> str:
    """Return the SQL of ``Query.neighborhood``."""
    builder, number = objects.builder, field.number
    starts = builder.parameter(number, "text[]", _starts)
    hops = builder.parameter(number, "int", lambda a: within(a, "hops", 0, HOPS_MAX))
    nodes = builder.parameter(number, "int", lambda a: within(a, "nodes", 1, NODES_MAX))
    direction, types = _along(objects, field, args)
    found = builder.alias("found")

    def relationships(asked: Selected) -> str:
        row = builder.alias("r")
        return json_list(
            objects.json("Relationship", asked.only(), row),
            f"{row}.id",
            f"ig.among({TENANT}, {found}.ids, {found}.hops, {hops}, {direction}, {types}) {row}",
        )

    parts: dict[str, Part] = {
        "items": lambda asked: _reached(objects, asked, found),
        "relationships": relationships,
        "completeness": f"case when {found}.truncated then '\"TRUNCATED\"' else '\"COMPLETE\"' end",
    }
    search = f"ig.reach({TENANT}, {starts}, {hops}, {direction}, {types}, {nodes})"
    return f"(select {page(field.only(), 'Neighborhood', parts)} from {search} {found})"


def _reached(objects: Objects, items: Selected, found: str) -> str:
    reached, row = objects.builder.alias("n"), objects.builder.alias("e")
    members = []
    for field in items.only():
        if field.name == "hops":
            sql = f"{reached}.hops"
        elif field.name == "entity":
            sql = objects.json("Entity", field.only(), row)
        else:
            sql = "'\"Reached\"'"
        members.append((field.key, sql))
    return json_list(
        json_object(members),
        f"{reached}.hops, {row}.id",
        f"unnest({found}.ids, {found}.hops) as {reached}(id, hops) join ig.entity {row} "
        f"on {row}.tenant = {TENANT} and {row}.id = {reached}.id and not {row}.deleted",
    )


def shortest_paths(objects: Objects, field: Selected, args: Args) -> str:
    """Return the SQL of ``Query.shortestPaths``."""
    builder, number = objects.builder, field.number
    start = builder.parameter(number, "text", lambda a: text(a, "from"))
    end = builder.parameter(number, "text", lambda a: text(a, "to"))
    hops = builder.parameter(number, "int", lambda a: within(a, "hops", 1, HOPS_MAX))
    first = builder.parameter(number, "int", lambda a: within(a, "first", 1, PATHS_MAX))
    direction, types = _along(objects, field, args)
    found = builder.alias("found")
    parts: dict[str, Part] = {
        "items": lambda items: _paths(objects, items, found),
        "completeness": f"case when {found}.truncated then '\"TRUNCATED\"' else '\"COMPLETE\"' end",
    }
    search = f"ig.paths({TENANT}, {start}, {end}, {hops}, {direction}, {types}, {first})"
    return f"(select {page(field.only(), 'Paths', parts)} from {search} {found})"


def _paths(objects: Objects, items: Selected, found: str) -> str:
    path = objects.builder.alias("p")
    members = []
    for selected in items.only():
        if selected.name == "__typename":
            sql = "'\"Path\"'"
        else:
            row, step = objects.builder.alias("o"), objects.builder.alias("s")
            table = {"entities": "entity", "relationships": "relationship"}[selected.name]
            sql = json_list(
                objects.json(selected.type_name, selected.only(), row),
                f"{step}.n",
                f"unnest(ig.ids({path}.path -> '{selected.name}')) with ordinality as {step}(id, n) "
                f"join ig.{table} {row} on {row}.tenant = {TENANT} and {row}.id = {step}.id and not {row}.deleted",
            )
        members.append((selected.key, sql))
    paths = f"jsonb_array_elements({found}.paths) with ordinality as {path}(path, n)"
    return json_list(json_object(members), f"{path}.n", paths)
