"""The promises notice what is broken in the models around production too: each entry breaks one thing there.

A promise that nothing can break would hold for ever. Of each a seed is kept under which random losses show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from intelgraph.control.agent.controller import salvage_loop
from intelgraph.control.agent.controller.salvaging import Salvaged
from intelgraph.simulator.clients import Clients
from intelgraph.simulator.schedule import run, schedule
from intelgraph.simulator.violation import CERTAINTY, DURABILITY, NO_LOSS, SALVAGE
from intelgraph.simulator.worker import Told, Worker


@contextmanager
def _instead(owner: Any, name: str, wrong: Any) -> Iterator[None]:
    right = owner.__dict__[name]
    setattr(owner, name, wrong)
    try:
        yield
    finally:
        setattr(owner, name, right)


def no_waiting() -> Any:
    """A ``remote`` write is acknowledged without its standby."""

    async def confirmed(self: Worker, *_: object) -> bool:
        return True

    return _instead(Worker, "_confirmed", confirmed)


def refuses_for_certain() -> Any:
    """What the home refuses now is called refused, whatever became of earlier attempts elsewhere."""
    right = Clients._ask

    async def ask(self: Clients, *arguments: Any) -> Told:
        told = await right(self, *arguments)
        if told.status == "unknown":
            self.promises.refused(arguments[1], arguments[2])
        return told

    return _instead(Clients, "_ask", ask)


def adopts_nothing() -> Any:
    """Whatever lies beyond a cut is left for people."""

    async def salvage_page(*_: object) -> Salvaged:
        return Salvaged()

    return _instead(salvage_loop, "salvage_page", salvage_page)


@dataclass(frozen=True, kw_only=True)
class Broken:
    """What is broken, which promises may notice it, and a seed under which one does."""

    plant: Callable[[], Any]
    promises: tuple[str, ...]
    seed: int


BROKEN: Mapping[str, Broken] = {
    "a waiter that does not wait": Broken(plant=no_waiting, promises=(DURABILITY, NO_LOSS), seed=1),
    "unknown called refused": Broken(plant=refuses_for_certain, promises=(CERTAINTY,), seed=1),
    "adoptable rows left": Broken(plant=adopts_nothing, promises=(SALVAGE,), seed=16),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_noticed(name: str) -> None:
    broken = BROKEN[name]
    assert run(schedule(broken.seed)).promise is None
    with broken.plant():
        assert run(schedule(broken.seed)).promise in broken.promises
