"""An argument is refused with what is wrong with it, and with nothing that is not."""

from __future__ import annotations

from typing import Any

import pytest

from intelgraph.graph.query.arguments import TEXT_CHARS_MAX, ArgumentRefused, past_bookmark, searched_text
from intelgraph.graph.query.document import QueryRefused
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from tests.graph.cursors import cursor

BOOKMARK = "us-east/1/1/7"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "it needs a bookmark or a time, and neither is given"),
        ({"bookmark": None, "time": None}, "and neither is given"),
        ({"bookmark": BOOKMARK, "time": "2026-01-31T08:00:00Z"}, "it takes a bookmark or a time, and both are given"),
        ({"bookmark": "yesterday"}, "it is no bookmark"),
    ],
)
def test_a_past_is_named_by_a_bookmark_or_a_time(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ArgumentRefused, match=told):
        past_bookmark(given)


def test_either_of_them_is_enough() -> None:
    assert past_bookmark({"bookmark": BOOKMARK}) == BOOKMARK
    assert past_bookmark({"time": "2026-01-31T08:00:00Z"}) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty"),
        ("---", "it holds no letter and no digit"),
        ("x" * (TEXT_CHARS_MAX + 1), f"it has {TEXT_CHARS_MAX + 1:,} characters; it may have {TEXT_CHARS_MAX:,} at"),
    ],
)
def test_each_mistake_of_a_search_text_has_its_own_sentence(text: str, told: str) -> None:
    with pytest.raises(ArgumentRefused, match=told) as refused:
        searched_text({"text": text})
    assert str(refused.value).count("refused") == 1


GOOD = cursor("ID_ASC", "e1")
WRONG_CURSORS = (
    'entities(after: "garbage!!") { next }',
    'entities(after: "e1") { next }',
    f'entities(after: "{GOOD[:-1]}") {{ next }}',
    f'entities(after: "{GOOD}x") {{ next }}',
    f'entities(after: "{GOOD}", orderBy: ID_DESC) {{ next }}',
    f'entities(after: "{GOOD}", orderBy: UPDATED_ASC) {{ next }}',
    'entities(after: "nope", orderBy: UPDATED_ASC) { next }',
    f'entities(after: "{cursor("UPDATED_ASC", "no place")}", orderBy: UPDATED_ASC) {{ next }}',
    'entity(id: 1) { edges(after: "zz") { next } }',
    f'entity(id: 1) {{ edges(after: "{GOOD}") {{ next }} }}',
    'history(id: 1, after: "us-east/1/1/1") { next }',
    'asOf(bookmark: "us-east/1/1/1") { entities(after: "garbage!!") { next } }',
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{ entities(first: 1001) { next } }", "first is refused: it must be from 0 to 1000, not 1001"),
        ("{ entities(first: -1) { next } }", "first is refused: it must be from 0 to 1000, not -1"),
        ("{ neighborhood(of: []) { completeness } }", "of is refused: it must name at least one entity"),
        (
            "{ shortestPaths(from: 1, to: 2, hops: 7) { completeness } }",
            "hops is refused: it must be from 1 to 6, not 7",
        ),
        ('{ entities(filter: {text: "  "}) { next } }', "text is refused"),
        *((f"{{ {text} }}", "after is refused: it is not what such a list") for text in WRONG_CURSORS),
        ('{ entity(id: "\\u0000") { id } }', "id is refused: it contains the character NUL"),
    ],
)
def test_an_argument_out_of_its_bounds_is_refused_with_its_path(text: str, reason: str) -> None:
    planner = Planner(schema=load_schema())
    with pytest.raises(QueryRefused) as refused:
        planner.prepare(planner.document(text, None), {})
    (error,) = refused.value.errors
    assert reason in error.message
    assert error.path
    assert refused.value.code == "bad_argument"
