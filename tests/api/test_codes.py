"""Every code that the API can answer is in the one table, on the page, and on the right side of 500."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from intelgraph.api.http.problem import STATUS_OF, STATUSES, of_denied
from intelgraph.model.errors import Denied

SOURCE = Path(str(resources.files("intelgraph")))
PACKAGES = ("api", "graph/query", "residency")
FILES = ("model/bookmark.py", "model/names.py", "placement/routing.py", "control/directory/cache.py")
ELSEWHERE = {
    # Told as 200 or as events, or by the process that starts; never the status of an answer.
    "internal": "a failure of ours, which is 500 by purpose",
    "PERSISTED_QUERY_NOT_FOUND": "Apollo's answer, which has the status of a wrong document",
    "change_unreadable": "an event in a stream, which goes on",
    "agent_silent": "a member of what /readyz?writes answers, which is 503 whatever the reason",
}
APPEND_SQL = ("050_resolve.sql", "060_append.sql", "062_removal.sql", "065_together.sql", "150_past.sql")
NEVER_ANSWERED = {
    # The API turns these into `fenced`: its directory and the log disagree.
    "not_home",
    "unknown_placement",
}


def codes() -> Iterator[tuple[str, str, bool]]:
    """Every code in the source: where it is, and whether it is one that a repeat may change."""
    files = [path for package in PACKAGES for path in (SOURCE / package).rglob("*.py")]
    for path in [*files, *(SOURCE / name for name in FILES)]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in ("refuse", "retry") and node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value), path.name, name == "retry"
            elif name == "QueryRefused" and len(node.args) == 2 and isinstance(node.args[1], ast.Constant):
                yield str(node.args[1].value), path.name, False
            elif name == "Denied":
                for keyword in node.keywords:
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        yield str(keyword.value.value), path.name, False
    for sql in APPEND_SQL:
        text = (SOURCE / "changelog" / "sql" / sql).read_text()
        for code in re.findall(r"refus(?:al|ed)\('([a-z_]+)'", text):
            yield code, sql, False


FOUND = sorted(set(codes()))


@pytest.mark.parametrize(("code", "where"), sorted({(code, where) for code, where, _ in FOUND}))
def test_every_code_has_its_status(code: str, where: str) -> None:
    assert code in STATUS_OF or code in ELSEWHERE or code in NEVER_ANSWERED, where


def test_what_a_repeat_may_change_is_503_and_nothing_else_is() -> None:
    passing = {code for code, _, again in FOUND if again}
    assert {code for code in passing if STATUS_OF[code] < 500} == set()
    assert not [status for status in STATUSES if status >= 500 and status != 503]


@pytest.mark.parametrize("code", STATUS_OF)
def test_every_code_is_on_the_page_and_a_503_says_when_to_come_back(code: str) -> None:
    page = (SOURCE.parent.parent / "docs" / "log.md").read_text()
    assert f"`{code}`" in page
    answer = of_denied(Denied(code=code, reason="it is refused"))
    assert answer.status == STATUS_OF[code]
    assert (b"retry-after" in dict(answer.headers)) == (answer.status == 503)


def test_what_is_described_for_each_status_is_what_the_table_says() -> None:
    described = json.loads((SOURCE / "api" / "openapi.json").read_text())["components"]["responses"]
    for status, those in STATUSES.items():
        words = set(re.findall(r"[a-z_]+", described.get(f"Problem{status}", {}).get("description", "")))
        if words and status not in (400, 404):
            assert set(those) - words == set(), status
