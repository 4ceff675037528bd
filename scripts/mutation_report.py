"""What a mutation run has come to: one row a module, and each mutant that no test noticed, with why it is left.

``figures.json`` of a part is what mutmut has kept, in few words; the page is written from those and from
``mutation.toml``. mutmut itself is needed for the first only.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "proof" / "mutation.md"
REASONS = Path(__file__).with_name("mutation.toml")
SHARE_MIN = 0.85

KILLED = (1, 3)
OUTCOMES: Mapping[str, tuple[int, ...]] = {
    "killed": KILLED,
    "timed out": (-24, 24, 36, 152, 255),
    "no test": (5, 33),
    "survived": (0,),
}
"""What mutmut's exit codes mean. ``no test``: none of those that are run reaches the function."""


@dataclass(frozen=True, kw_only=True)
class Survivor:
    """A mutant that no test has noticed: what a line of a function was and became."""

    function: str
    was: str
    now: str


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What became of one module's mutants."""

    module: str
    outcomes: Mapping[str, int]
    survivors: Sequence[Survivor]

    @property
    def total(self) -> int:
        """How many mutants there are, tried or not."""
        return sum(self.outcomes.values())

    @property
    def killed(self) -> int:
        """How many were noticed: a test failed, or did not come to its end."""
        return self.outcomes.get("killed", 0) + self.outcomes.get("timed out", 0)

    @property
    def is_complete(self) -> bool:
        """Whether each has been tried."""
        return not self.outcomes.get("not tried", 0)

    @property
    def share(self) -> float:
        """The share that was noticed, of all: those that change nothing are counted as if they could be."""
        return self.killed / self.total if self.total else 1.0


def is_chosen(module: str, modules: Sequence[str]) -> bool:
    """Whether a module is among those that were asked for."""
    return not modules or any(f"{module}.".startswith(f"{each}.") for each in modules)


def module_of(path: Path) -> str:
    """The dotted name of a file below ``src/intelgraph``."""
    return ".".join(path.relative_to("src/intelgraph").with_suffix("").parts)


def outcome_of(code: int | None) -> str:
    """Say what an exit code of mutmut means."""
    if code is None:
        return "not tried"
    return next((name for name, codes in OUTCOMES.items() if code in codes), "unclear")


def write_figures(file: Path) -> None:
    """Write down what mutmut has kept of a part, whose directory is the current one."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.utils.file_utils import walk_mutatable_files
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    found = []
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        survivors = []
        for key, code in data.exit_code_by_key.items():
            if outcome_of(code) not in ("survived", "unclear"):
                continue
            function, owner = orig_function_and_class_names_from_key(key)
            lines = get_diff_for_mutant(key, path=path).splitlines()[2:]
            was, now = (" ".join(each[1:].strip() for each in lines if each.startswith(sign)) for sign in "-+")
            survivors.append(Survivor(function=f"{owner}.{function}" if owner else function, was=was, now=now))
        outcomes = dict(Counter(outcome_of(code) for code in data.exit_code_by_key.values()))
        if outcomes:
            found.append(asdict(Figures(module=module_of(path), outcomes=outcomes, survivors=survivors)))
    file.write_text(json.dumps(found, indent=1), encoding="utf-8")


def read_figures(files: Iterable[Path]) -> list[Figures]:
    """Read what several parts have come to."""
    return [
        Figures(
            module=each["module"], outcomes=each["outcomes"], survivors=[Survivor(**one) for one in each["survivors"]]
        )
        for file in files
        if file.exists()
        for each in json.loads(file.read_text(encoding="utf-8"))
    ]


def _told() -> dict[str, Any]:
    return tomllib.loads(REASONS.read_text(encoding="utf-8"))


def reasons() -> Sequence[Mapping[str, Any]]:
    """Why survivors are left."""
    return tuple(_told().get("survivor", ()))


def reason_for(reasons: Iterable[Mapping[str, Any]], module: str, survivor: Survivor) -> str | None:
    """Say why a survivor is left; a reason without a line is one for the whole function."""
    for each in reasons:
        named = each["module"] == module and each["function"] == survivor.function
        if named and each.get("was", survivor.was) == survivor.was and each.get("now", survivor.now) == survivor.now:
            return str(each["reason"])
    return None


def write_page(files: Iterable[Path]) -> int:
    """Write ``docs/proof/mutation.md``; the exit code says whether enough was killed where all has been tried."""
    figures = read_figures(files)
    PAGE.write_text(render(figures, _told()), encoding="utf-8")
    tried = [each for each in figures if each.is_complete]
    killed, total = sum(each.killed for each in tried), sum(each.total for each in tried)
    print(f"{len(tried)} of {len(figures)} modules: {killed} of {total} mutants killed; {PAGE.relative_to(ROOT)}")
    if total and killed / total < SHARE_MIN:
        print(f"mutation: less than {SHARE_MIN:.0%} is killed", file=sys.stderr)
        return 1
    return 0


def render(figures: Sequence[Figures], told: Mapping[str, Any]) -> str:
    """The page: how it was run, the table, the survivors with their reasons, what has not been run."""
    tried = [each for each in figures if each.is_complete]
    lines = [
        "# Mutants of the decisions and of the agent, and which of them a unit test kills",
        "",
        f"Written by `make mutate` on {time.strftime('%Y-%m-%d')}; {os.cpu_count()} cores, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}.",
        "",
        *str(told["how"]).strip().splitlines(),
        "",
        "| module | mutants | killed | timed out | survived | no test | share |",
        "|---|---|---|---|---|---|---|",
        *(_row(each.module, [each]) for each in tried),
        _row("all of these", tried),
        "",
        "## Survivors",
    ]
    for each in tried:
        if each.survivors:
            lines += ["", f"### {each.module}", "", "| function | was | became | why it is left |", "|---|---|---|---|"]
        for one in each.survivors:
            reason = reason_for(told.get("survivor", ()), each.module, one) or "**not looked at yet**"
            lines.append(f"| {one.function} | {_code(one.was)} | {_code(one.now)} | {reason} |")
    lines += ["", "## Not run yet", ""]
    lines += [f"- {each.module}: {each.total} mutants, {_left(each)} to try" for each in figures if each not in tried]
    lines += [f"- {each['module']}: {each['reason']}" for each in told.get("not_run", ())]
    return "\n".join(lines) + "\n"


def _left(figures: Figures) -> int:
    return figures.outcomes.get("not tried", 0)


def _row(name: str, of: Sequence[Figures]) -> str:
    outcomes: Counter[str] = Counter()
    for each in of:
        outcomes.update(each.outcomes)
    killed, total = outcomes["killed"] + outcomes["timed out"], outcomes.total()
    counts = (
        total,
        outcomes["killed"],
        outcomes["timed out"],
        outcomes["survived"] + outcomes["unclear"],
        outcomes["no test"],
    )
    share = f"{killed / total:.1%}" if total else ""
    return f"| {name} | " + " | ".join(str(count) for count in counts) + f" | {share} |"


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|").replace("`", "'") + "`"
