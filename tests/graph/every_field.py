"""One smallest query for every field of the schema, found by walking it."""

from __future__ import annotations

from collections.abc import Iterator

from graphql import GraphQLField, GraphQLInterfaceType, GraphQLObjectType, get_named_type, is_leaf_type

from intelgraph.graph.query.schema import load_schema

NEEDED = {
    ("Query", "entity"): '(id: "a")',
    ("Query", "relationship"): '(id: "ab")',
    ("Query", "node"): '(id: "a")',
    ("Query", "neighborhood"): '(of: ["a"], hops: 2)',
    ("Query", "shortestPaths"): '(from: "a", to: "c")',
    ("Query", "history"): '(id: "a")',
    ("Query", "asOf"): '(time: "2020-01-01T00:00:00Z")',
    ("Past", "entity"): '(id: "a")',
    ("Past", "relationship"): '(id: "ab")',
    ("Past", "node"): '(id: "a")',
}
_Named = GraphQLObjectType | GraphQLInterfaceType


def queries() -> Iterator[tuple[str, str]]:
    """Yield (``Type.field``, query) for each field that can be reached from the root of queries."""
    root = load_schema().query_type
    assert root is not None
    ways: dict[str, list[tuple[_Named, str]]] = {root.name: []}
    waiting: list[_Named] = [root]
    while waiting:
        type_ = waiting.pop(0)
        for name, field in type_.fields.items():
            yield f"{type_.name}.{name}", _query([*ways[type_.name], (type_, name)], field)
            inner = get_named_type(field.type)
            if not is_leaf_type(inner) and inner.name not in ways:
                ways[inner.name] = [*ways[type_.name], (type_, name)]
                waiting.append(inner)  # type: ignore[arg-type]


def _query(way: list[tuple[_Named, str]], field: GraphQLField) -> str:
    text = _smallest(get_named_type(field.type))
    for type_, name in reversed(way):
        text = f"{{ {name}{NEEDED.get((type_.name, name), '')} {text} }}"
    return text


def _smallest(type_: object) -> str:
    if is_leaf_type(type_):  # type: ignore[arg-type]
        return ""
    assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
    leaf = next((n for n, f in type_.fields.items() if is_leaf_type(get_named_type(f.type))), None)
    if leaf is not None:
        return f"{{ {leaf} }}"
    name, field = next(iter(type_.fields.items()))
    return f"{{ {name} {_smallest(get_named_type(field.type))} }}"
