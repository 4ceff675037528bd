"""A mutation run: unit tests notice at least 85 of 100 changes of a decision, and each that they do not has its reason.

`make prove ARGS=tests/proof/test_mutation.py`, or `make mutate` with modules in ``ARGS``; both go on where the last run
was stopped. What was found is in ``docs/proof/mutation.md``.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from scripts.mutation import PARTS, Part
from scripts.mutation_report import ROOT, SHARE_MIN, read_figures, reason_for, reasons

pytestmark = [pytest.mark.prove, pytest.mark.timeout(0)]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_unit_tests_kill_mutants_and_every_survivor_has_its_reason(part: Part) -> None:
    subprocess.run([sys.executable, "-m", "scripts.mutation", part.package], cwd=ROOT, check=False)
    figures = read_figures([part.figures])
    assert figures and all(each.is_complete for each in figures)
    killed, total = sum(each.killed for each in figures), sum(each.total for each in figures)
    assert killed / total >= SHARE_MIN, f"{killed} of {total} mutants"
    told = reasons()
    assert [
        (each.module, one.function, one.now)
        for each in figures
        for one in each.survivors
        if reason_for(told, each.module, one) is None
    ] == []
