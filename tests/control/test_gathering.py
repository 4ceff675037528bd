"""Gathering: what survivors hold is believed to be here when digests are equal; nobody is waited for too long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from intelgraph.control.agent.controller.gathering import Wanted, gather
from intelgraph.control.agent.observer.own_session import Asking

from .shell import EU, US

STREAM = f"{US}/1"


@dataclass
class Rows:
    """A database that holds some positions of one stream; what it reissues arrives elsewhere at once."""

    positions: set[int]
    arrives_at: Rows | None = None
    asked: list[str] = field(default_factory=list)
    hangs: bool = False

    async def ask(self, statement: str, *arguments: object) -> Any:
        if self.hangs:
            await asyncio.Event().wait()
        function = statement.partition("ig.")[2].partition("(")[0]
        self.asked.append(function)
        if function == "report":
            return json.dumps({"settled": {STREAM: max(self.positions, default=0)}})
        if function == "digests":
            [cut] = json.loads(str(arguments[1]))
            return json.dumps(sorted(one for one in self.positions if one <= cut["position"]))
        assert function == "reissue" and self.arrives_at is not None
        self.arrives_at.positions |= self.positions
        return json.dumps({"next": None})

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Asking]:
        yield self


def gathered(own: Rows, *survivors: Rows, within_s: float = 5.0) -> dict[str, int]:
    names = [f"survivor-{number}" for number in range(len(survivors))]
    wanted = Wanted(here=EU, placement="p", beyond={name: {STREAM: 2} for name in names}, within_s=within_s)
    return asyncio.run(gather(own, {name: each.session for name, each in zip(names, survivors, strict=True)}, wanted))


def test_what_is_reissued_is_believed_when_it_is_here_and_not_before() -> None:
    own = Rows({1, 2})
    survivor = Rows({1, 2, 3, 4}, arrives_at=own)
    assert gathered(own, survivor) == {}
    assert survivor.asked == ["report", "digests", "reissue"]
    assert gathered(own, survivor) == {STREAM: 4}


def test_of_several_survivors_the_one_that_has_most_counts() -> None:
    own = Rows({1, 2, 3, 4})
    assert gathered(own, Rows({1, 2, 3}), Rows({1, 2, 3, 4})) == {STREAM: 4}


def test_a_survivor_that_does_not_answer_in_time_is_passed_over() -> None:
    own = Rows({1, 2, 3})
    assert gathered(own, Rows(set(), hangs=True), Rows({1, 2, 3}), within_s=0.05) == {STREAM: 3}
