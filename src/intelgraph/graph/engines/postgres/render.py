"""The one renderer: nodes in, SQL text out.

Operands are put in parentheses where PostgreSQL would otherwise bind them differently, so that whoever builds nodes
need not think of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from intelgraph.graph.engines.postgres import nodes
from intelgraph.graph.engines.postgres.nodes import Expression, Order, Query

_ARGUMENTS_MAX = 90
"""PostgreSQL's functions take 100 arguments at most."""
_COMPARING = frozenset({"=", "<>", "<", ">", "<=", ">="})
"""Operators that bind less than all others."""
_LOOSE = frozenset({nodes.All, nodes.Not, nodes.IsNull, nodes.AnyOf})
"""What binds less than any operator."""
_CAST_AS_IT_IS = frozenset({nodes.Column, nodes.Text, nodes.Parameter, nodes.Scalar, nodes.Name})
_INDEXED_AS_IT_IS = frozenset({nodes.Column, nodes.Name})


def render(node: Expression | Query) -> str:
    """Return the text of a node."""
    return _RENDER[type(node)](node)


def quoted(text: str) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def _list(parts: Sequence[Any]) -> str:
    return ", ".join([_RENDER[type(part)](part) for part in parts])


def _order_by(order: Sequence[Order]) -> str:
    return f"order by {_list(order)}"


def _call(node: nodes.Call) -> str:
    order = f" {_order_by(node.order_by)}" if node.order_by else ""
    text = f"{node.name}({', '.join([_RENDER[type(part)](part) for part in node.arguments])}{order})"
    if node.where is not None:
        text += f" filter (where {render(node.where)})"
    if node.over is not None:
        text += f" over ({_order_by(node.over) if node.over else ''})"
    return text


def _case(node: nodes.Case) -> str:
    subject = f" {render(node.subject)}" if node.subject is not None else ""
    whens = " ".join([f"when {render(condition)} then {render(then)}" for condition, then in node.whens])
    otherwise = f" else {render(node.otherwise)}" if node.otherwise is not None else ""
    return f"case{subject} {whens}{otherwise} end"


def _operand(node: Expression, operator: str, *, right: bool) -> str:
    text = _RENDER[type(node)](node)
    if isinstance(node, nodes.Infix):
        # What is compared binds more; between other operators nobody has to know which binds more.
        binds_less = node.operator in _COMPARING
        binds_alike = operator not in _COMPARING and (right or node.operator != operator)
        return f"({text})" if binds_less or binds_alike else text
    return f"({text})" if type(node) in _LOOSE else text


def _infix(node: nodes.Infix) -> str:
    left, right = _operand(node.left, node.operator, right=False), _operand(node.right, node.operator, right=True)
    return f"{left} {node.operator} {right}"


def _all(node: nodes.All) -> str:
    return " and ".join([_RENDER[type(condition)](condition) for condition in node.conditions])


def _not(node: nodes.Not) -> str:
    text = render(node.condition)
    return f"not ({text})" if type(node.condition) is nodes.All else f"not {text}"


def _cast(node: nodes.Cast) -> str:
    text = render(node.value)
    return f"{text}::{node.type}" if type(node.value) in _CAST_AS_IT_IS else f"({text})::{node.type}"


def _element(node: nodes.Element) -> str:
    text = render(node.array)
    return f"{text if type(node.array) in _INDEXED_AS_IT_IS else f'({text})'}[{render(node.index)}]"


def _concat(node: nodes.Concat) -> str:
    calls = [_RENDER[type(part)](part) for part in node.parts]
    while len(calls) > _ARGUMENTS_MAX:
        calls = [_concat_of(calls[n : n + _ARGUMENTS_MAX]) for n in range(0, len(calls), _ARGUMENTS_MAX)]
    return _concat_of(calls)


def _concat_of(texts: Sequence[str]) -> str:
    return f"concat({', '.join(texts)})"


def _derived(node: nodes.Derived) -> str:
    columns = f" ({', '.join(node.columns)})" if node.columns else ""
    return f"({render(node.query)}) {node.alias}{columns}"


def _rows(node: nodes.Rows) -> str:
    ordinality = " with ordinality" if node.ordinality else ""
    columns = f"({', '.join(node.columns)})" if node.columns else ""
    return f"{_call(node.call)}{ordinality}{' as' if node.columns else ''} {node.alias}{columns}"


def _join(node: nodes.Join) -> str:
    left, right = _RENDER[type(node.left)](node.left), _RENDER[type(node.right)](node.right)
    if node.on is None:
        return f"{left} cross join lateral {right}"
    return f"{left} join {right} on {render(node.on)}"


def _select(node: nodes.Select) -> str:
    parts = []
    if node.tables:
        tables = [f"{table.name} as materialized ({render(table.query)})" for table in node.tables]
        parts.append(f"with {', '.join(tables)}")
    select = "select distinct" if node.distinct else "select"
    parts.append(f"{select} {_list(node.columns)}" if node.columns else select)
    if node.source:
        parts.append(f"from {_list(node.source)}")
    if node.where is not None:
        parts.append(f"where {render(node.where)}")
    if node.group_by:
        parts.append(f"group by {_list(node.group_by)}")
    if node.having is not None:
        parts.append(f"having {render(node.having)}")
    if node.order_by:
        parts.append(_order_by(node.order_by))
    if node.limit is not None:
        parts.append(f"limit {render(node.limit)}")
    if node.offset is not None:
        parts.append(f"offset {render(node.offset)}")
    return " ".join(parts)


def _union(node: nodes.Union) -> str:
    text = " union all ".join([_part_of_union(query) for query in node.queries])
    if node.order_by:
        text = f"({text}) {_order_by(node.order_by)}"
    return f"{text} limit {render(node.limit)}" if node.limit is not None else text


def _part_of_union(query: Query) -> str:
    text = render(query)
    if isinstance(query, nodes.Select | nodes.Union) and (query.order_by or query.limit is not None):
        return f"({text})"
    return text


_RENDER: Mapping[type, Callable[[Any], str]] = {
    nodes.Column: lambda node: f"{node.table}.{node.name}",
    nodes.Name: lambda node: node.name,
    nodes.Text: lambda node: quoted(node.value),
    nodes.Typed: lambda node: f"{node.type} {quoted(node.value)}",
    nodes.Number: lambda node: str(node.value),
    nodes.Parameter: lambda node: f"${node.number}::{node.type}",
    nodes.Order: lambda node: f"{render(node.by)} desc" if node.descending else render(node.by),
    nodes.Call: _call,
    nodes.Case: _case,
    nodes.Infix: _infix,
    nodes.All: _all,
    nodes.Not: _not,
    nodes.IsNull: lambda node: f"{_operand(node.value, '=', right=False)} is null",
    nodes.AnyOf: lambda node: f"{_operand(node.value, '=', right=False)} = any ({render(node.array)})",
    nodes.Cast: _cast,
    nodes.Row: lambda node: f"({_list(node.values)})",
    nodes.Element: _element,
    nodes.Scalar: lambda node: f"({render(node.query)})",
    nodes.ArrayOf: lambda node: f"array({render(node.query)})",
    nodes.Concat: _concat,
    nodes.Rendered: lambda node: node.text,
    nodes.As: lambda node: f"{render(node.value)} as {node.name}",
    nodes.Table: lambda node: f"{node.name} {node.alias}" if node.alias else node.name,
    nodes.Derived: _derived,
    nodes.Rows: _rows,
    nodes.Join: _join,
    nodes.Select: _select,
    nodes.Union: _union,
    nodes.Nested: lambda node: f"({render(node.query)})",
}
