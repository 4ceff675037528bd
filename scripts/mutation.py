"""Mutation run: does a unit test fail when a decision is changed? mutmut changes it; this says where, and reports.

    python -m scripts.mutation [MODULE ...] [--again] [--report]

``MODULE`` begins the dotted name of modules (``placement.failover``, ``control.agent.leases``); all of ``PARTS``
without one. What has been tried is kept in ``build/mutation`` and not tried again, unless the function has changed or
``--again`` asks for what was not killed: so a run may be stopped and goes on. Each run writes
``docs/proof/mutation.md``; ``--report`` does nothing else. ``mutation.toml`` has the reason why a survivor is left.

A part has a directory of its own, because mutmut works in ``mutants`` below the current one and takes its settings
from there. Sentences are not mutated: their wording is free, what they are said about is not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.mutation_report import KILLED, ROOT, is_chosen, module_of, write_figures, write_page

WORK = ROOT / "build" / "mutation"
QUICK = "not postgres and not fleet and not alone and not prove"
"""The tests that need no database and no fleet."""


PYTEST = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_PLUGINS": "pytest_timeout,_hypothesis_pytestplugin",
    "PYTEST_ADDOPTS": "-p no:unraisableexception -p no:threadexception",
}
"""Each mutant starts pytest anew: it loads what these tests need, and does not collect garbage at its end."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is mutated together, and the tests that have to notice."""

    name: str
    mutated: str
    """Below ``src/intelgraph``."""
    tests: tuple[str, ...]
    which: tuple[str, ...] = ("-m", QUICK)
    """Which of them: pytest's own arguments."""

    @property
    def directory(self) -> Path:
        """Where mutmut works."""
        return WORK / self.name

    @property
    def figures(self) -> Path:
        """What its runs have come to."""
        return self.directory / "figures.json"

    @property
    def package(self) -> str:
        """How the names of its modules begin."""
        return self.mutated.replace("/", ".")


PARTS = (
    Part(name="placement", mutated="placement", tests=("tests/placement", "tests/plans")),
    Part(name="agent", mutated="control/agent", tests=("tests/control",), which=("-m", QUICK, "-k", "not etcd")),
)


def prepare(part: Part) -> None:
    """Make the part's directory: links to the tree, and mutmut's settings."""
    part.directory.mkdir(parents=True, exist_ok=True)
    for name in ("src", "tests", "docs", "pyproject.toml"):
        link = part.directory / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    # What Hypothesis tries is the same in each run: a mutant is killed by a test, not by luck.
    arguments = (*part.which, "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0")
    several = {
        "source_paths": ("src",),
        "only_mutate": (f"src/intelgraph/{part.mutated}/*",),
        "also_copy": ("docs",),
        "pytest_add_cli_args_test_selection": part.tests,
        "pytest_add_cli_args": arguments,
    }
    lines = [f"{key} =\n" + "".join(f"    {value}\n" for value in values) for key, values in several.items()]
    # A mutant that hangs is killed; one that waits for a busy machine is not: 20 s are waited 15 times.
    lines += ["timeout_constant = 20\n", "on_dependency_change = ignore\n"]
    (part.directory / "setup.cfg").write_text("[mutmut]\n" + "".join(lines), encoding="utf-8")


def leave_sentences_alone() -> None:
    """Tell mutmut not to mutate text that people read: a string with a space in it, or an f-string with one."""
    import libcst
    from mutmut.mutation import mutators

    module = libcst.Module([])

    def is_sentence(node: Any) -> bool:
        is_text = isinstance(node, libcst.SimpleString | libcst.FormattedString | libcst.ConcatenatedString)
        return is_text and " " in module.code_for_node(node).strip()

    def strings(node: Any) -> Iterable[Any]:
        return () if is_sentence(node) else mutators.operator_string(node)

    def arguments(node: Any) -> Iterator[Any]:
        """Leave out calls in which a sentence became ``None``."""
        told = [is_sentence(each.value) for each in node.args]
        for call in mutators.operator_arg_removal(node):
            same_length = len(call.args) == len(node.args)
            changed = [new.value is not old.value for new, old in zip(call.args, node.args, strict=False)]
            if not (same_length and any(one and other for one, other in zip(changed, told, strict=True))):
                yield call

    instead: dict[Callable[..., Any], Callable[..., Any]] = {
        mutators.operator_string: strings,
        mutators.operator_arg_removal: arguments,
    }
    operators: Any = mutators.mutation_operators
    operators[:] = [(kind, instead.get(operator, operator)) for kind, operator in operators]


def forget_who_tests_what() -> None:
    """Have mutmut find out anew which tests reach a function: by itself it asks only tests that are new."""
    file = Path("mutants/mutmut-stats.json")
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
        kept |= {"tests_by_mangled_function_name": {}, "duration_by_test": {}}
        file.write_text(json.dumps(kept), encoding="utf-8")


def run(part: Part, modules: Sequence[str], *, again: bool) -> None:
    """Mutate and try, one mutant at a time. For a process of its own: its current directory becomes the part's."""
    os.chdir(part.directory)
    os.environ.update(PYTEST)
    leave_sentences_alone()
    from mutmut import __main__ as mutmut
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.mutation.trampoline import set_mutant_under_test
    from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, walk_mutatable_files

    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    shutil.rmtree("mutants/tests", ignore_errors=True)  # a test that is gone must kill nothing
    copy_src_dir()
    copy_also_copy_files()
    mutmut.create_mutants(1)
    forget_who_tests_what()
    names: list[str] = []
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        if not is_chosen(module_of(path), modules):
            continue
        if again:
            old = data.exit_code_by_key
            data.exit_code_by_key = {key: code if code in KILLED else None for key, code in old.items()}
            data.save()
        names += [key for key, code in data.exit_code_by_key.items() if code is None]
    print(f"{part.name}: {len(names)} mutants to try", flush=True)
    if names:
        mutmut._run(names if modules or again else [], 1)
    write_figures(part.figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts in which modules were asked for, each in a process of its own; then write the page."""
    parser = argparse.ArgumentParser(prog="python -m scripts.mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE")
    parser.add_argument("--again", action="store_true", help="try what was not killed once more")
    parser.add_argument("--report", action="store_true", help="only write the page")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    for part in PARTS:
        if part.name == asked.part:
            run(part, asked.modules, again=asked.again)
            return 0
    for part in () if asked.report else PARTS:
        if not asked.modules or any(f"{each}.".startswith(f"{part.package}.") for each in asked.modules):
            prepare(part)
            again = ["--again"] if asked.again else []
            inside = [sys.executable, "-m", "scripts.mutation", "--part", part.name, *again, *asked.modules]
            done = subprocess.run(inside, cwd=ROOT, check=False)
            if done.returncode != 0:
                return done.returncode
    return write_page(part.figures for part in PARTS)


if __name__ == "__main__":
    sys.exit(main())
