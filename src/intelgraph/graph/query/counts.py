"""How much there is: ``Query.stats``."""

from __future__ import annotations

from intelgraph.graph.query.pages import page
from intelgraph.graph.query.selection import Selected
from intelgraph.graph.query.statement import TENANT, json_list, json_object


def stats(field: Selected) -> str:
    """Return the SQL of ``Query.stats``: both tables are counted by type, once each."""
    members = []
    for selected in field.only():
        table = "entity" if selected.name.startswith("entit") else "relationship"
        live = f"ig.{table} o where o.tenant = {TENANT} and not o.deleted"
        counted = f"(select o.type, count(*) as n from {live} group by o.type) c"
        if selected.name == "__typename":
            sql = "'Stats'"
        elif selected.name.endswith("Types"):
            item = page(selected.only(), "TypeCount", {"type": "c.type", "count": "c.n"})
            sql = json_list(item, "c.n desc, c.type", counted)
        else:
            sql = f"(select coalesce(sum(c.n), 0) from {counted})"
        members.append((selected.key, sql))
    return json_object(members)
