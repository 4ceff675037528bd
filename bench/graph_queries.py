"""The questions that are put to a large tenant, and what is drawn for each: one line a question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

ENTITIES, RELATIONSHIPS = 100_000, 400_000
_FOUND = "items { id name type } completeness"


@dataclass(frozen=True, kw_only=True)
class Question:
    """``draw`` makes the variables of one request; ``limit_ms``: the p95 that is promised, if one is."""

    name: str
    query: str
    draw: Callable[[Random], dict[str, Any]]
    limit_ms: float | None = None


def _any(random: Random) -> str:
    return f"e{random.randrange(ENTITIES * 9 // 10)}"


def _apart(random: Random) -> str:
    return f"e{random.randrange(ENTITIES * 9 // 10, ENTITIES)}"


def _hub(random: Random) -> str:
    return f"e{random.randrange(3)}"


def _word(random: Random) -> str:
    return f"word{int(20_000 * random.random() ** 4)}"


_SEARCH = f"query ($w: String!) {{ entities(filter: {{text: $w}}, first: 20) {{ {_FOUND} total {{ count exact }} }} }}"
_AROUND = (
    "query ($id: ID!) { neighborhood(of: [$id], hops: 3, nodes: 1000) "
    "{ items { hops entity { id name type } } relationships { id type sourceId targetId } completeness } }"
)
_PATHS = (
    "query ($a: ID!, $b: ID!) { shortestPaths(from: $a, to: $b, hops: 6, first: 10) "
    "{ items { entities { id name } relationships { id type } } completeness } }"
)
QUESTIONS = (
    Question(name="search, words by chance", query=_SEARCH, draw=lambda r: {"w": _word(r)}, limit_ms=250),
    Question(name="search, a rare word", query=_SEARCH, draw=lambda r: {"w": f"word{r.randrange(15_000, 20_000)}"},
             limit_ms=250),
    Question(name="search, a word of all", query=_SEARCH, draw=lambda _: {"w": "common"}, limit_ms=250),
    Question(name="search, two words and a type",
             query="query ($w: String!) { entities(filter: {text: $w, types: [\"tool\"]}, orderBy: UPDATED_DESC) "
                   f"{{ {_FOUND} }} }}",
             draw=lambda r: {"w": f"common {_word(r)}"}, limit_ms=250),
    Question(name="neighborhood, 3 hops, 1,000", query=_AROUND, draw=lambda r: {"id": _any(r)}, limit_ms=250),
    Question(name="neighborhood of a hub", query=_AROUND, draw=lambda r: {"id": _hub(r)}, limit_ms=250),
    Question(name="shortest paths", query=_PATHS, draw=lambda r: {"a": _any(r), "b": _any(r)}, limit_ms=250),
    Question(name="shortest paths, none", query=_PATHS, draw=lambda r: {"a": _any(r), "b": _apart(r)}, limit_ms=250),
    Question(name="entity", query="query ($id: ID!) { entity(id: $id) { id name type properties updated } }",
             draw=lambda r: {"id": _any(r)}),
    Question(name="edges of a hub, a page deep down",
             query="query ($id: ID!, $after: Cursor) { entity(id: $id) { edges(first: 50, after: $after) "
                   "{ items { direction neighbor { id name } } next } } }",
             draw=lambda r: {"id": _hub(r), "after": f"r{r.randrange(RELATIONSHIPS)}"}),
    Question(name="entities by a property",
             query="query ($p: JSONObject!) { entities(filter: {properties: $p}) "
                   f"{{ {_FOUND} total {{ count exact }} }} }}",
             draw=lambda r: {"p": {"owner": f"owner{r.randrange(5000)}"}}),
    Question(name="stats", query="{ stats { entityTypes { type count } relationshipTypes { type count } } }",
             draw=lambda _: {}),
)  # fmt: skip
