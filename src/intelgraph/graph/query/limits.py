"""What a document may be, looked at before it is validated or executed: no shape of attack costs more than its reading.

The source's length and tokens are bounded while it is parsed; depth, aliases, directives and fields are counted on the
parsed document, each fragment once, so that counting is linear in the document even where its fields are not. How
much data a document may ask for is ``cost``'s part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from graphql.language import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
)

from intelgraph.model.errors import Denied

_LOOKED_AT_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class QueryLimits:
    """Bounds of one request. They leave room for the documents that people and client libraries write."""

    source_chars_max: int = 100_000
    tokens_max: int = 4_000
    """A large hand-written document has some 500; graphql-core reads about 1,000 a millisecond."""
    depth_max: int = 16
    """The introspection query of client libraries has 13."""
    aliases_max: int = 100
    directives_max: int = 50
    fields_max: int = 1_000
    """With every fragment written out where it is spread."""
    definitions_max: int = 100
    pairs_max: int = 2_500
    """Fields of one name, and fragments, at one place of the answer, two by two: validation compares each pair of them,
    some 5 µs each. 450 times the same field took more than a second."""
    nodes_max: int = 20_000
    """Objects that the answer could hold at most."""
    cost_max: int = 50_000


@dataclass(frozen=True, kw_only=True)
class _Size:
    """What a selection set, with the fragments in it written out, comes to."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0


def over_limit(document: DocumentNode, limits: QueryLimits) -> Denied | None:
    """Return why a parsed document is refused, or nothing."""
    if len(document.definitions) > limits.definitions_max:
        return _too_large("the document", len(document.definitions), "definitions", limits.definitions_max)
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    sizes: dict[str, _Size] = {}
    for name in _inner_first(fragments):
        sizes[name] = _measure(fragments[name].selection_set, sizes, len(fragments[name].directives or ()))
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        size = _measure(node.selection_set, sizes, len(node.directives or ()))
        for what, found, limit in (
            ("levels of fields", size.depth, limits.depth_max),
            ("aliases", size.aliases, limits.aliases_max),
            ("directives", size.directives, limits.directives_max),
            ("fields", size.fields, limits.fields_max),
        ):
            if found > limit:
                return _too_large("with its fragments written out an operation", found, what, limit)
        if _pairs(node.selection_set, fragments, limits) > limits.pairs_max:
            found = limits.pairs_max + 1
            return _too_large("with its fragments written out an operation", found, "pairs to merge", limits.pairs_max)
    return None


def _too_large(subject: str, found: int, what: str, limit: int) -> Denied:
    return Denied(
        code="document_too_large",
        reason=f"the document is refused: {subject} has {found} {what}; the limit is {limit}",
        facts={"what": what, "found": min(found, 2**53), "limit": limit},
    )


def _pairs(selection_set: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode], limits: QueryLimits) -> int:
    """Count pairs of what is merged at one place of the answer; ends when there are too many.

    A fragment is followed once at each place, however often it is spread there. Fragments that lead to themselves
    through fields never end: what is looked at is bounded too.
    """
    looked_at = 0
    seen: Counter[tuple[int, str]] = Counter()
    places: dict[tuple[int, str], int] = {}
    followed: set[tuple[int, str]] = set()
    stack: list[tuple[int, SelectionSetNode]] = [(0, selection_set)]
    pairs = 0
    while stack and pairs <= limits.pairs_max:
        place, current = stack.pop()
        looked_at += len(current.selections)
        if looked_at > _LOOKED_AT_MAX:
            return limits.pairs_max + 1
        for node in current.selections:
            if isinstance(node, FieldNode):
                key = (place, (node.alias or node.name).value)
                pairs += seen[key]
                seen[key] += 1
                if node.selection_set is not None:
                    stack.append((places.setdefault(key, len(places) + 1), node.selection_set))
            elif isinstance(node, FragmentSpreadNode):
                pairs += seen[place, "..."]
                seen[place, "..."] += 1
                name = node.name.value
                if name in fragments and (place, name) not in followed:
                    followed.add((place, name))
                    stack.append((place, fragments[name].selection_set))
            elif isinstance(node, InlineFragmentNode):
                stack.append((place, node.selection_set))
    return pairs


def _inner_first(fragments: dict[str, FragmentDefinitionNode]) -> Iterator[str]:
    """Name each fragment after those it spreads. Fragments that spread themselves are left to validation."""
    done: set[str] = set()
    under_way: set[str] = set()
    for start in fragments:
        stack = [(start, False)]
        while stack:
            name, children_done = stack.pop()
            if children_done:
                under_way.discard(name)
                done.add(name)
                yield name
            elif name in fragments and name not in done and name not in under_way:
                under_way.add(name)
                stack.append((name, True))
                stack.extend((spread, False) for spread in _spreads(fragments[name].selection_set))


def _spreads(selection_set: SelectionSetNode) -> Iterator[str]:
    for _, node in _walk(selection_set):
        if isinstance(node, FragmentSpreadNode):
            yield node.name.value


def _walk(selection_set: SelectionSetNode) -> Iterator[tuple[int, Node]]:
    """Every selection below a selection set with its depth in fields, without recursion."""
    stack: list[tuple[int, SelectionSetNode]] = [(1, selection_set)]
    while stack:
        depth, current = stack.pop()
        for node in current.selections:
            yield depth, node
            inner = getattr(node, "selection_set", None)
            if inner is not None:
                stack.append((depth + isinstance(node, FieldNode), inner))


def _measure(selection_set: SelectionSetNode, sizes: dict[str, _Size], own_directives: int) -> _Size:
    depth = fields = aliases = 0
    directives = own_directives
    for level, node in _walk(selection_set):
        directives += len(getattr(node, "directives", ()) or ())
        if isinstance(node, FieldNode):
            depth = max(depth, level)
            fields += 1
            aliases += node.alias is not None
        elif isinstance(node, FragmentSpreadNode):
            inner = sizes.get(node.name.value, _Size())
            depth = max(depth, level - 1 + inner.depth)
            fields += inner.fields
            aliases += inner.aliases
            directives += inner.directives
    return _Size(depth=depth, fields=fields, aliases=aliases, directives=directives)
