"""Judges a history: one check a file, each saying in its docstring what it proves and what it cannot. Pure.

``check`` runs them all. A check that finds something is run again with the ``home`` writes that the fleet lists as left
behind struck out: what is then still there is unexplained, what is not is explained by those keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from intelgraph.drill.checker import (
    bank,
    bookmark,
    fence,
    graph,
    list_append,
    members,
    pages,
    register,
    subscription,
)
from intelgraph.drill.checker.striking import Struck, strike
from intelgraph.drill.checker.verdict import Anomaly, Fate, Verdict
from intelgraph.drill.history import History

CHECKS: Mapping[str, Callable[[History], Verdict]] = {
    members.NAME: members.check,
    register.NAME: register.check,
    list_append.NAME: list_append.check,
    bank.NAME: bank.check,
    fence.NAME: fence.check,
    bookmark.NAME: bookmark.check,
    graph.NAME: graph.check,
    pages.NAME: pages.check,
    subscription.NAME: subscription.check,
}
NEVER_EXPLAINED = frozenset({fence.NAME})
"""Checks whose anomalies no list of keys excuses."""
_KEYS_SHOWN_MAX = 10


def check(
    history: History,
    fates: Mapping[str, Fate] | None = None,
    *,
    left_behind: Mapping[str, frozenset[str]] | None = None,
    only: Iterable[str] | None = None,
) -> tuple[Verdict, ...]:
    """Run the checks; ``fates`` is what the fleet says became of idempotency keys.

    ``left_behind``: of keys that count, the regions in which an earlier row of theirs was left (``striking``).
    """
    struck = strike(history, fates or {}, left_behind)
    return tuple(_run(name, history, struck) for name in CHECKS if only is None or name in set(only))


def _run(name: str, history: History, struck: Struck) -> Verdict:
    began_s = time.process_time()
    verdict = CHECKS[name](history)
    if verdict.anomalies and struck.operations and name not in NEVER_EXPLAINED:
        verdict = _explained(verdict, CHECKS[name](struck.history), struck)
    return msgspec.structs.replace(verdict, seconds=time.process_time() - began_s)


def _explained(all_of_it: Verdict, what_is_left: Verdict, struck: Struck) -> Verdict:
    left = {_identity(anomaly) for anomaly in what_is_left.anomalies}
    excused = (
        msgspec.structs.replace(anomaly, explained_by=_keys(anomaly, struck))
        for anomaly in all_of_it.anomalies
        if _identity(anomaly) not in left
    )
    return msgspec.structs.replace(all_of_it, anomalies=(*what_is_left.anomalies, *excused))


def _identity(anomaly: Anomaly) -> tuple[str, tuple[object, ...]]:
    return anomaly.kind, anomaly.objects or anomaly.operations


def _keys(anomaly: Anomaly, struck: Struck) -> tuple[str, ...]:
    involved, objects = set(anomaly.operations), set(anomaly.objects)
    mine = [each for each in struck.operations if each.id in involved]
    mine = mine or [each for each in struck.operations if objects & {step.object for step in each.steps}]
    return tuple(each.key or "" for each in (mine or struck.operations)[:_KEYS_SHOWN_MAX])
