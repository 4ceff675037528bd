"""Documents made by chance over the schema: aliases, fragments, conditions, variables and arguments of every kind.

They are valid by construction, except that a few arguments are out of their bounds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from intelgraph.graph.query.schema import load_schema

from .cursors import cursor

IDS = [f"e{n}" for n in range(14)] + ["r1", "r5", "none"]
TYPES = ["malware", "tool", "uses", "none"]
NUMBERS = {"first": (0, 6), "hops": (0, 4), "nodes": (1, 20), "confidenceMin": (0, 100), "confidenceMax": (0, 100)}
TEXTS = ["name", "e1", "even num", "none", "number-1", "NUMBER 2", "2.e", "odd-number", "É 1", "e-even/num"]
TIMES = ["2024-01-01T00:00:00Z", "2025-06-01T12:00:00+02:00", "2026-01-01T00:00:00.5Z"]
DEPTH_MAX = 7
APART = {"asOf", "history"}
"""What has stories of its own: the executor in memory has no past."""


@dataclass(kw_only=True)
class Maker:
    """One document under construction."""

    random: Random
    schema: GraphQLSchema = field(default_factory=load_schema)
    variables: dict[str, tuple[str, Any]] = field(default_factory=dict)
    fragments: list[str] = field(default_factory=list)
    aliases: int = 0
    field_name: str = ""
    """Whose arguments are made."""

    def document(self) -> tuple[str, dict[str, Any]]:
        """Return a query and its variables."""
        assert self.schema.query_type is not None
        body = self._selection(self.schema.query_type, 1, few=True)
        given = ", ".join(f"${name}: {type_}" for name, (type_, _) in self.variables.items())
        head = f"query Made({given})" if given else "query Made"
        text = "\n".join([f"{head} {body}", *self.fragments])
        return text, {name: value for name, (_, value) in self.variables.items()}

    def _selection(self, type_: GraphQLObjectType | GraphQLInterfaceType, depth: int, *, few: bool = False) -> str:
        names = [
            n
            for n, f in type_.fields.items()
            if n not in APART and (depth < DEPTH_MAX or is_leaf_type(get_named_type(f.type)))
        ]
        chosen = self.random.sample(names, self.random.randint(1, min(len(names), 2 if few else 4)))
        parts = [self._field(name, type_.fields[name], depth) for name in chosen]
        if self.random.random() < 0.2:
            parts.append(self._alias() + "__typename")
        if isinstance(type_, GraphQLInterfaceType):
            for possible in self.schema.get_possible_types(type_):
                parts.append(f"... on {possible.name} {self._selection(possible, depth + 1)}")
        elif self.random.random() < 0.15 and type_ is not self.schema.query_type:
            parts.append(self._fragment(type_, depth))
        self.random.shuffle(parts)
        return "{ " + " ".join(parts) + " }"

    def _fragment(self, type_: GraphQLObjectType, depth: int) -> str:
        inner = self._selection(type_, depth)
        if self.random.random() < 0.5:
            return f"... on {type_.name} {self._condition()} {inner}"
        name = f"F{len(self.fragments)}"
        self.fragments.append(f"fragment {name} on {type_.name} {inner}")
        return f"...{name} {self._condition()}"

    def _alias(self) -> str:
        self.aliases += 1
        return f"a{self.aliases}: "

    def _condition(self) -> str:
        if self.random.random() > 0.15:
            return ""
        value = self.random.random() < 0.7
        shown = self._variable("Boolean!", value) if self.random.random() < 0.5 else json.dumps(value)
        return f"@{self.random.choice(['include', 'skip'])}(if: {shown})"

    def _variable(self, type_: str, value: Any) -> str:
        name = f"v{len(self.variables)}"
        self.variables[name] = (type_, value)
        return f"${name}"

    def _field(self, name: str, definition: GraphQLField, depth: int) -> str:
        # Fields with arguments or a sub-selection have a name of their own: two of them never have to be merged.
        named = get_named_type(definition.type)
        alias = "" if is_leaf_type(named) and self.random.random() < 0.8 else self._alias()
        self.field_name = name
        arguments = [
            f"{arg}: {self._argument(arg, d.type)}"
            for arg, d in definition.args.items()
            if is_required_argument(d) or self.random.random() < 0.6
        ]
        shown = f"({', '.join(arguments)})" if arguments else ""
        inner = "" if is_leaf_type(named) else self._selection(named, depth + 1)  # type: ignore[arg-type]
        return f"{alias}{name}{shown} {self._condition()} {inner}"

    def _argument(self, name: str, type_: Any) -> str:
        value = self._value(name, type_)
        if self.random.random() < 0.4:
            return self._variable(str(type_), value)
        return self._literal(type_, value)

    def _value(self, name: str, type_: Any) -> Any:
        if isinstance(type_, GraphQLNonNull):
            return self._value(name, type_.of_type)
        if self.random.random() < 0.05 and name != "after":
            return None if not _must(name) else self._value(name, GraphQLNonNull(type_))
        if isinstance(type_, GraphQLList):
            return [self._value(name, GraphQLNonNull(type_.of_type)) for _ in range(self.random.randint(1, 3))]
        if isinstance(type_, GraphQLEnumType):
            return self.random.choice(list(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            names = self.random.sample(list(type_.fields), self.random.randint(0, 2))
            return {n: self._value(n, type_.fields[n].type) for n in names}
        return self._scalar(name, type_.name)

    def _scalar(self, name: str, type_name: str) -> Any:
        if type_name == "Int":
            low, high = NUMBERS[name]
            return self.random.choice([-1, 5_001]) if self.random.random() < 0.02 else self.random.randint(low, high)
        if type_name == "DateTime":
            return self.random.choice(TIMES)
        if type_name == "JSONObject":
            return self.random.choice([{"level": 1}, {"level": 2, "os": "linux"}, {}])
        if name == "text":
            return self.random.choice(TEXTS)
        if name == "after":
            return self._cursor()
        return self.random.choice(TYPES if name == "types" else IDS)

    def _cursor(self) -> str:
        """One of some list: mostly of the one that is asked for, in one of its orders."""
        own = "edges" if self.field_name == "edges" else "ID_ASC"
        list_name = self.random.choice([own] * 8 + ["edges", "UPDATED_DESC"])
        by_time = list_name.startswith("UPDATED")
        id_ = self.random.choice(IDS)
        return cursor(list_name, json.dumps([self.random.choice(TIMES[::2]), id_]) if by_time else id_)

    def _literal(self, type_: Any, value: Any) -> str:
        named = get_named_type(type_)
        if isinstance(value, list):
            return "[" + ", ".join(self._literal(named, part) for part in value) + "]"
        if isinstance(named, GraphQLEnumType) and value is not None:
            return str(value)
        if isinstance(value, dict):
            fields = named.fields if isinstance(named, GraphQLInputObjectType) else {}
            parts = (f"{n}: {self._literal(fields[n].type if n in fields else None, v)}" for n, v in value.items())
            return "{" + ", ".join(parts) + "}"
        return json.dumps(value)


def _must(name: str) -> bool:
    return name not in ("types", "after", "filter", "confidenceMin", "confidenceMax", "validAt", "text")
