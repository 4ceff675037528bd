"""An argument is refused with what is wrong with it, and with nothing that is not."""

from __future__ import annotations

from typing import Any

import pytest

from intelgraph.graph.query.pages import _TEXT_CHARS_MAX, _words
from intelgraph.graph.query.past import _bookmark
from intelgraph.graph.query.statement import ArgumentRefused

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
        _bookmark(given)


def test_either_of_them_is_enough() -> None:
    assert _bookmark({"bookmark": BOOKMARK}) == BOOKMARK
    assert _bookmark({"time": "2026-01-31T08:00:00Z"}) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is empty"),
        ("---", "it holds no letter and no digit"),
        ("x" * (_TEXT_CHARS_MAX + 1), f"it has {_TEXT_CHARS_MAX + 1:,} characters; it may have {_TEXT_CHARS_MAX:,} at"),
    ],
)
def test_each_mistake_of_a_search_text_has_its_own_sentence(text: str, told: str) -> None:
    with pytest.raises(ArgumentRefused, match=told) as refused:
        _words({"text": text})
    assert str(refused.value).count("refused") == 1
