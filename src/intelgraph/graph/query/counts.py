"""How much there is, by type and by time: ``Query.stats``."""

from __future__ import annotations

from intelgraph.graph.query.objects import Objects
from intelgraph.graph.query.pages import first, page
from intelgraph.graph.query.selection import Args, Selected
from intelgraph.graph.query.statement import TENANT, json_array, json_list, json_object, json_value

TYPES_MAX = 10_000
"""More types than this are not listed."""


def stats(objects: Objects, field: Selected, arguments: list[Args]) -> str:
    """Return the SQL of ``Query.stats``: both tables are counted by type, once each."""
    members = []
    for selected in field.only():
        table = "entity" if selected.name.startswith("entit") else "relationship"
        live = f"{objects.rows.of(table)} o where o.tenant = {TENANT} and not o.deleted"
        counted = f"(select o.type, count(*) as n, row_number() over () as k from {live} group by o.type) c"
        if selected.name == "__typename":
            sql = "'\"Stats\"'"
        elif selected.name == "entitiesCreated":
            sql = _created(objects, selected, arguments[selected.number], live)
        elif selected.name.endswith("Types"):
            item = page(selected.only(), "TypeCount", {"type": json_value("c.type"), "count": "c.n"})
            listed = f"case when c.k > {TYPES_MAX} then ig.too_large() else {item} end"
            sql = json_list(listed, "c.n desc, c.type", counted)
        else:
            sql = f"(select coalesce(sum(c.n), 0) from {counted})"
        members.append((selected.key, sql))
    return json_object(members)


def _created(objects: Objects, field: Selected, args: Args, live: str) -> str:
    limit = objects.builder.parameter(field.number, "int", first)
    span = f"date_trunc('{args['unit'].lower()}', o.created, 'UTC')"
    spans = f"select {span} as at, count(*) as n from {live} group by 1 order by 1 desc limit {limit} + 1"

    def items(selected: Selected) -> str:
        item = page(selected.only(), "TimeCount", {"from": json_value("ig.stamp(c.at)"), "count": "c.n"})
        return json_array(f"case when c.k <= {limit} then {item} end", "c.k")

    completeness = f"case when count(*) > {limit} then '\"MORE\"' else '\"COMPLETE\"' end"
    answer = page(field.only(), "TimeCounts", {"items": items, "completeness": completeness})
    numbered = f"select s.*, row_number() over (order by s.at desc) as k from ({spans}) s"
    return f"(select {answer} from ({numbered}) c having true)"
