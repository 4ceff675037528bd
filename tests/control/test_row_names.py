"""How a row is named on the command line."""

from __future__ import annotations

import pytest

from intelgraph.control.agent.controller.salvaging import name_text, parse_name
from intelgraph.model.errors import IntelGraphError


@pytest.mark.parametrize("text", ["us-east/1/2", "us-east/1/7/2"])
def test_a_row_is_named_by_itself_or_by_its_bookmark(text: str) -> None:
    assert name_text(parse_name(text)) == "us-east/1/2"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "us-east",
        "us-east/1",
        "us-east/1/²",
        "us-east/١/2",
        "us-east/1/-2",
        "a/1/2/3/4",
        "us-east/1/epoch/2",
        "\udcff/1/2",
        f"us-east/1/{'9' * 19}",
        f"us-east/1/{'9' * 5_000}",
        f"us-east/{'9' * 10}/1",
        f"us-east/1/{'9' * 19}/1",
    ],
)
def test_what_names_no_row_is_refused(text: str) -> None:
    with pytest.raises(
        IntelGraphError, match="a row is named origin/life/position, life with 9 digits at most"
    ) as told:
        parse_name(text)
    assert len(told.value.denied.reason) < 250
