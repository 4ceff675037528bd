"""The ledger keeps what was proven when a run is interrupted."""

from __future__ import annotations

from pathlib import Path

from tests.proof.ledger import Ledger


def test_a_finished_case_is_not_proven_again(tmp_path: Path) -> None:
    Ledger("backlog", "Backlog", tmp_path).record("one hour", {"rows": 200_000, "lag_s": 0.4})
    again = Ledger("backlog", "Backlog", tmp_path)
    assert again.done("one hour")
    assert not again.done("two hours")


def test_the_table_has_every_case_and_figure(tmp_path: Path) -> None:
    ledger = Ledger("backlog", "Backlog", tmp_path)
    ledger.record("a", {"rows": 1})
    ledger.record("b", {"rows": 2, "lag_s": 3})
    text = (tmp_path / "docs" / "proof" / "backlog.md").read_text()
    assert "| case | rows | lag_s |" in text
    assert "| b | 2 | 3 |" in text
