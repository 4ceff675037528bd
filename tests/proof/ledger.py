"""Where long proofs write what they measured: one row a case, kept when the run is interrupted.

A proof asks ``done(case)`` first, so a stopped run goes on with the cases it had not finished. The rows live in
``.proof/NAME.json`` (not in git; delete it to prove again) and are rendered as a table into ``docs/proof/NAME.md``.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Ledger:
    """The rows of one proof: ``case`` to measured figures, all of one shape."""

    def __init__(self, name: str, title: str, root: Path = ROOT) -> None:
        self.name = name
        self.title = title
        self._rows_file = root / ".proof" / f"{name}.json"
        self._table_file = root / "docs" / "proof" / f"{name}.md"
        self.rows: dict[str, dict[str, str]] = {}
        if self._rows_file.exists():
            self.rows = json.loads(self._rows_file.read_text(encoding="utf-8"))

    def done(self, case: str) -> bool:
        """Whether an earlier run has finished this case."""
        return case in self.rows

    def record(self, case: str, figures: Mapping[str, object]) -> None:
        """Keep one case's figures and render the table anew."""
        self.rows[case] = {name: str(value) for name, value in figures.items()}
        self._rows_file.parent.mkdir(parents=True, exist_ok=True)
        replacement = self._rows_file.with_suffix(".new")
        replacement.write_text(json.dumps(self.rows, indent=1), encoding="utf-8")
        replacement.replace(self._rows_file)
        self._table_file.parent.mkdir(parents=True, exist_ok=True)
        self._table_file.write_text(self.render(), encoding="utf-8")

    def render(self) -> str:
        """The table as Markdown, with the machine and the day it was made on."""
        names = list(dict.fromkeys(name for figures in self.rows.values() for name in figures))
        lines = [
            f"# {self.title}",
            "",
            f"Written by `make prove` on {time.strftime('%Y-%m-%d')}; {os.cpu_count()} cores, {platform.system()} "
            f"{platform.machine()}, Python {platform.python_version()}.",
            "",
            "| case | " + " | ".join(names) + " |",
            "|---" * (len(names) + 1) + "|",
        ]
        for case, figures in self.rows.items():
            lines.append(f"| {case} | " + " | ".join(figures.get(name, "") for name in names) + " |")
        return "\n".join(lines) + "\n"
