"""Known-bad histories are found out, each for what is wrong with it and nothing else; known-good ones pass.

The files in ``histories/`` say in words what happened and what must be found.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from intelgraph.drill.checker import CHECKS, check
from tests.drill.notation import read

FILES = sorted((Path(__file__).parent / "histories").glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_what_is_wrong_is_found_and_nothing_else(path: Path) -> None:
    written = read(path)
    verdicts = check(written.history, written.fates, left_behind=written.left_behind)
    found = {(each.check, each.kind, each.explained) for verdict in verdicts for each in verdict.anomalies}
    assert found == written.expected, [each.reason for verdict in verdicts for each in verdict.anomalies]
    for verdict in verdicts:
        assert verdict.holds == all(explained for name, _, explained in written.expected if name == verdict.check)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_each_anomaly_gives_one_sentence_and_names_operations_that_exist(path: Path) -> None:
    written = read(path)
    ids = {operation.id for operation in written.history.operations}
    for verdict in check(written.history, written.fates, left_behind=written.left_behind):
        for anomaly in verdict.anomalies:
            assert anomaly.reason
            assert "\n" not in anomaly.reason
            assert set(anomaly.operations) <= ids
            assert anomaly.operations or anomaly.kind == "unread"


def test_every_check_has_a_good_and_a_bad_history() -> None:
    bad = {name for path in FILES for name, _, _ in read(path).expected}
    good = {path.stem.split(".")[0] for path in FILES if not read(path).expected}
    assert set(CHECKS) == bad == good


def test_no_check_complains_of_a_history_without_operations() -> None:
    written = read(FILES[0])
    assert all(verdict.holds for verdict in check(written.history.without([])))
