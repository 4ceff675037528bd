"""What an engine must provide: which questions it answers, and what it makes of a plan.

A second engine is a second package beside ``postgres`` with one class of this form. It need not answer everything:
``can_answer`` tells whether a plan is one for it.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from intelgraph.graph.query.plan import Plan, Question

StatementT = TypeVar("StatementT", covariant=True)


class Engine(Protocol[StatementT]):
    """Makes statements of plans. It holds no connection: whoever sends the statement has one."""

    @property
    def answers(self) -> frozenset[type[Question]]:
        """The kinds of questions that it can answer."""

    def statement(self, plan: Plan) -> StatementT:
        """Return what answers the plan, for every request of it: made once, and kept with the plan.

        The statement takes the plan's values in the plan's order, and answers with the JSON text of ``plan.answer``.
        """


def can_answer(engine: Engine[object], plan: Plan) -> bool:
    """Whether an engine can answer every question of a plan."""
    return all(type(question) in engine.answers for question in plan.questions())
