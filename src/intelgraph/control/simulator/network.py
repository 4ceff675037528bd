"""Who reaches whom, one way, and how long it takes; and the control store behind it, linearizable.

A call to the store takes effect at one instant between asking and answering, or never; whoever gets no answer does
not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple, TypeVar

from intelgraph.control.simulator.engine import Engine, Site

STORE = "store"
STORE_TIMEOUT_S = 1.5
FAR_S = 0.04
NEAR_S = 0.01

T = TypeVar("T")
Calling = Generator[float | None, None, T]


class Unreachable(Exception):
    """The store gave no answer in time: what was asked may have happened."""


class Network:
    """Links between sites, and to the store."""

    def __init__(self) -> None:
        self.cuts: set[tuple[str, str]] = set()
        self.slow_s: dict[tuple[str, str], float] = {}

    def carries(self, source: str, destination: str) -> bool:
        """Whether something sent now from one to the other arrives."""
        return (source, destination) not in self.cuts

    def latency_s(self, source: str, destination: str) -> float:
        """How long it takes."""
        near = NEAR_S if destination == STORE or source == STORE else FAR_S
        return near + self.slow_s.get((source, destination), 0.0)


class Versioned(NamedTuple):
    """A key's value and the store's revision at its last write; 0: absent."""

    value: Any
    version: int


ABSENT = Versioned(None, 0)


class Store:
    """Keys with versions, and compare-and-set over several of them."""

    def __init__(self, engine: Engine, network: Network) -> None:
        self._engine = engine
        self._network = network
        self.keys: dict[str, Versioned] = {}
        self.revision = 0
        self.down = False
        self.slow_s = 0.0
        self.written: Callable[[str, Any], None] = lambda key, value: None
        """Told of every write at the instant it happens; only the observer listens."""

    def get(self, key: str) -> Versioned:
        """Look, from outside of the schedule's world."""
        return self.keys.get(key, ABSENT)

    def put(self, key: str, value: Any) -> None:
        """Write, from outside."""
        self.revision += 1
        self.keys[key] = Versioned(value, self.revision)
        self.written(key, value)

    def read(self, site: Site) -> Calling[Mapping[str, Versioned]]:
        """Read everything, as of one instant."""
        return self._call(site, self._copy)

    def compare_and_set(self, site: Site, expected: Mapping[str, int], writes: Mapping[str, Any]) -> Calling[bool]:
        """Write all of ``writes`` if every expected key has that version."""
        return self._call(site, lambda: self._set(expected, writes))

    def cast(self, site: Site, key: str, value: Any) -> None:
        """Write a key of one's own without waiting for the answer."""
        if not self.down and self._network.carries(site.name, STORE):
            self.put(key, value)

    def _copy(self) -> Mapping[str, Versioned]:
        return dict(self.keys)

    def _set(self, expected: Mapping[str, int], writes: Mapping[str, Any]) -> bool:
        if any(self.keys.get(key, ABSENT).version != version for key, version in expected.items()):
            return False
        self.revision += 1
        for key, value in writes.items():
            self.keys[key] = Versioned(value, self.revision)
            self.written(key, value)
        return True

    def _call(self, site: Site, effect: Callable[[], T]) -> Calling[T]:
        random, name = self._engine.random.random, site.name
        delay_s = (NEAR_S + self._network.slow_s.get((name, STORE), 0.0)) * (0.5 + random())
        delay_s += self._network.slow_s.get((STORE, name), 0.0) + self.slow_s * random()
        early = random() < 0.5
        answer: T | None = None
        if early:
            answer = self._reach(name, effect)
        yield min(delay_s, STORE_TIMEOUT_S)
        if not early:
            answer = self._reach(name, effect)
        if answer is None or delay_s > STORE_TIMEOUT_S or self.down or not self._network.carries(STORE, name):
            yield max(STORE_TIMEOUT_S - delay_s, 0.0)
            raise Unreachable
        return answer

    def _reach(self, name: str, effect: Callable[[], T]) -> T | None:
        """Have the effect, if the request arrives."""
        return None if self.down or not self._network.carries(name, STORE) else effect()
