"""How many generated cases a test tries: a quarter in the quick run, all of them with ``--all-cases``.

The numbers in the tests are those of all. ``make prove`` and CI try all (``make cases``), in exactly the tests that ask
this module.
"""

from __future__ import annotations

from pathlib import Path

QUICK_PART = 4
OPTION = "--all-cases"
_LEAST = 5
_ASKED = ("from tests.cases import", "import GENERATED")
_TESTS = Path(__file__).parent
_all = False


def try_all() -> None:
    """From now on all are tried; said once, before any test is imported."""
    global _all
    _all = True


def cases(number: int) -> int:
    """Return how many of ``number`` cases to try now."""
    return number if _all else max(number // QUICK_PART, min(number, _LEAST))


def files_with_cases() -> list[str]:
    """The test files that try fewer cases in the quick run."""
    return sorted(
        str(file.relative_to(_TESTS.parent))
        for file in _TESTS.rglob("test_*.py")
        if any(asked in file.read_text(encoding="utf-8") for asked in _ASKED)
    )
