"""Who reaches whom, one way, and how long it takes."""

from __future__ import annotations

STORE = "store"
FAR_S = 0.04
NEAR_S = 0.01


class Network:
    """Links between sites, and to the control store."""

    def __init__(self) -> None:
        self.cuts: set[tuple[str, str]] = set()
        self.slow_s: dict[tuple[str, str], float] = {}

    def carries(self, source: str, destination: str) -> bool:
        """Whether something sent now from one to the other arrives."""
        return (source, destination) not in self.cuts

    def both_ways(self, one: str, other: str) -> bool:
        """Whether they can talk."""
        return (one, other) not in self.cuts and (other, one) not in self.cuts

    def latency_s(self, source: str, destination: str) -> float:
        """How long it takes."""
        near = NEAR_S if destination == STORE or source == STORE else FAR_S
        return near + self.slow_s.get((source, destination), 0.0)
