"""The tidy test's own rules, where a mistake in them would go unnoticed."""

from __future__ import annotations

from pathlib import Path

from scripts.tidy import lost_modules, torn_rows


def _torn(directory: Path, text: str) -> list[str]:
    path = directory / "page.md"
    path.write_text(text, encoding="utf-8")
    return torn_rows(path)


def test_a_bar_in_code_tears_a_row(tmp_path: Path) -> None:
    torn = _torn(tmp_path, "| to | type |\n|---|---|\n| read | `a` |\n| decide | `adopt|reject` |\n")
    assert torn == [f"{tmp_path}/page.md:4: 3 cells; the header has 2 (a bar in code is written \\|)"]


def test_a_bar_that_is_escaped_does_not(tmp_path: Path) -> None:
    assert _torn(tmp_path, "| to | type |\n|---|---|\n| decide | `adopt\\|reject` |\n") == []


def test_each_table_has_its_own_header(tmp_path: Path) -> None:
    assert _torn(tmp_path, "| a | b |\n|---|---|\n\n   | a |\n   |---|\n   | 1 |\n") == []


def test_code_is_no_table(tmp_path: Path) -> None:
    assert _torn(tmp_path, "| a |\n|---|\n```\n| what | a | program | printed |\n```\n") == []


def test_a_module_that_a_text_names_exists(tmp_path: Path) -> None:
    house = tmp_path / "house"
    (house / "room").mkdir(parents=True)
    (house / "room" / "__init__.py").write_text('"""``table`` is in it."""\nCHAIR = 1\n', encoding="utf-8")
    (house / "room" / "shelf.py").touch()
    text = tmp_path / "text.py"
    text.write_text(
        "``room.shelf`` ``room.shelf.book`` ``room.CHAIR`` ``other.thing``\n``room.cellar``\n", encoding="utf-8"
    )
    assert lost_modules(text, house) == [f"{text}:2: there is no room.cellar"]
