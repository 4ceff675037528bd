"""The page of a mutation run: what counts as killed, which survivors have a reason, and what has not been run."""

from __future__ import annotations

from pathlib import Path

from scripts.mutation_report import Figures, Survivor, is_chosen, module_of, outcome_of, reason_for, render

ONE = Survivor(function="decide", was="if a < b:", now="if a <= b:")
TOLD = {
    "how": "How it was done.",
    "survivor": [
        {"module": "placement.failover", "function": "decide", "now": "if a <= b:", "reason": "they are never equal"}
    ],
    "not_run": [{"module": "control.agent.agent", "reason": "only processes run it"}],
}


def figures(module: str = "placement.failover", **outcomes: int) -> Figures:
    named = {name.replace("_", " "): count for name, count in outcomes.items()}
    return Figures(module=module, outcomes=named, survivors=[ONE] if outcomes.get("survived") else [])


def test_a_test_that_fails_or_does_not_end_has_noticed_and_one_that_is_not_there_has_not() -> None:
    assert [outcome_of(code) for code in (1, 3, 36, 0, 33, None, 77)] == [
        "killed", "killed", "timed out", "survived", "no test", "not tried", "unclear",
    ]  # fmt: skip
    found = figures(killed=7, timed_out=1, survived=1, no_test=1)
    assert (found.total, found.killed, found.share, found.is_complete) == (10, 8, 0.8, True)
    assert not figures(killed=9, not_tried=1).is_complete


def test_modules_are_asked_for_by_how_their_names_begin() -> None:
    module = module_of(Path("src/intelgraph/control/agent/leases/keeper.py"))
    assert module == "control.agent.leases.keeper"
    assert is_chosen(module, []) and is_chosen(module, ["placement", "control.agent"]) and is_chosen(module, [module])
    assert not is_chosen(module, ["control.agent.lease"])


def test_a_reason_is_for_one_change_or_for_a_whole_function() -> None:
    assert reason_for(TOLD["survivor"], "placement.failover", ONE) == "they are never equal"
    other = Survivor(function="decide", was="x = 1", now="x = 2")
    assert reason_for(TOLD["survivor"], "placement.failover", other) is None
    assert reason_for(TOLD["survivor"], "placement.standby", ONE) is None
    whole = [{"module": "placement.failover", "function": "decide", "reason": "all of it"}]
    assert reason_for(whole, "placement.failover", other) == "all of it"


def test_the_page_has_a_row_a_module_the_sum_each_survivor_and_what_is_not_run() -> None:
    page = render(
        [figures(killed=9, survived=1), figures("placement.lease", killed=10), figures("placement.drain", not_tried=3)],
        TOLD,
    )
    assert "| placement.failover | 10 | 9 | 0 | 1 | 0 | 90.0% |" in page
    assert "| all of these | 20 | 19 | 0 | 1 | 0 | 95.0% |" in page
    assert "| decide | `if a < b:` | `if a <= b:` | they are never equal |" in page
    assert "- placement.drain: 3 mutants, 3 to try" in page and "- control.agent.agent: only processes run it" in page
    assert "not looked at yet" in render([figures(killed=9, survived=1)], {"how": ""})
