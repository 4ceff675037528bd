"""What a region's controller needs of the world: its database, other regions', probes, metrics, and the machine.

A Protocol, so that the controller that ships also runs under virtual time (``intelgraph.simulator``): there the
database, the network and the clock are models, and everything else is this package. The control store is a port of its
own (``control.store.protocol``), as are the heartbeat (``leases.keeper``) and the clock (``Parts``). Deciding does not
belong behind a port.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Protocol

from intelgraph.control.agent.agent import Agent, Loop
from intelgraph.control.agent.controller.gathering import Survivor, survivor_in
from intelgraph.control.agent.controller.opening import Opening, opening_in
from intelgraph.control.agent.controller.salvage_loop import PAGE_TIMEOUT_S, Counting
from intelgraph.control.agent.leases.clock_set_back import ClockSetBack
from intelgraph.control.agent.leases.steady import Clock
from intelgraph.control.agent.metrics import AgentMetrics
from intelgraph.control.agent.observer.findings import FindingPolicy
from intelgraph.control.agent.observer.limits import Limits
from intelgraph.control.agent.observer.observing import Observing
from intelgraph.control.agent.observer.own_database import looks_session
from intelgraph.control.agent.observer.own_session import OwnSession, Session
from intelgraph.control.agent.observer.probing import Probes
from intelgraph.control.agent.observer.surveying import Surveying
from intelgraph.control.agent.observer.write_prober import Edge, edge_at
from intelgraph.control.directory.plans import Times
from intelgraph.model.errors import Denied
from intelgraph.placement.plan import Plan
from intelgraph.settings import RegionConfig


class Reaching(Protocol):
    """Which other regions answer this one."""

    def reached(self) -> Mapping[str, bool]:
        """Return whether each region answered when it was last asked."""
        ...

    def unreached_s(self) -> Mapping[str, float]:
        """Return for how long each region has not answered, of those that do not."""
        ...

    async def run(self) -> None:
        """Ask for ever."""
        ...


class Survey(Protocol):
    """What is wrong in the region, for people."""

    @property
    def codes(self) -> frozenset[str]:
        """Of everything that was found last."""
        ...

    def findings(
        self, limits: Limits, stands: Mapping[str, Denied], waiting_rows: Mapping[str, int]
    ) -> tuple[Denied, ...]:
        """List what is wrong now."""
        ...


class Metrics(Counting, Protocol):
    """What is counted of plans and of salvage."""

    def ended(self, plan: Plan, times: Times) -> None:
        """Count a plan that was carried out or given up."""
        ...


class Ports(Protocol):
    """The world of one region's controller."""

    @property
    def metrics(self) -> Metrics:
        """What is counted."""
        ...

    @property
    def wall(self) -> Clock:
        """The wall clock (Unix seconds): for people."""
        ...

    @property
    def token_clock(self) -> Clock:
        """The clock whose readings come back as tokens of the log, in seconds."""
        ...

    @property
    def edge(self) -> Edge | None:
        """The region's own edge, through which its writes are probed."""
        ...

    @property
    def opening(self) -> Opening:
        """What opens epochs in the region's database."""
        ...

    @property
    def survivors(self) -> Mapping[str, Survivor]:
        """What begins sessions with other regions' databases."""
        ...

    def looks(self) -> Session:
        """Return the session in which the agent looks at its database and carries out plans."""
        ...

    def salvage(self) -> Session:
        """Return the session in which it decides about rows beyond a cut."""
        ...

    def reaching(self) -> Reaching:
        """Return what asks the other regions whether they answer."""
        ...

    def survey(self, agent: Agent, observing: Observing) -> Survey:
        """Return what looks for what is wrong."""
        ...

    def loops(self, agent: Agent) -> Mapping[str, Loop]:
        """Name what else runs beside the controller."""
        ...


class MachinePorts:
    """The ports of a region on a machine: PostgreSQL, HTTP, the clocks of the kernel."""

    def __init__(self, config: RegionConfig) -> None:
        self._config = config
        self.metrics = AgentMetrics()
        self.wall: Clock = time.time
        self.token_clock: Clock = time.monotonic
        self.edge = edge_at(config.edge)
        self.opening = opening_in(config.admin_database)
        self.survivors: Mapping[str, Survivor] = {
            region: survivor_in(peer.database) for region, peer in config.peers.items()
        }

    def looks(self) -> Session:
        """Return the session in which the agent looks at its database and carries out plans."""
        return looks_session(self._config.admin_database, region=self._config.region)

    def salvage(self) -> Session:
        """Return the session in which it decides about rows beyond a cut."""
        return OwnSession(
            self._config.admin_database,
            region=self._config.region,
            timeout_s=PAGE_TIMEOUT_S,
            session={"application_name": "intelgraph-agent-salvage"},
        )

    def reaching(self) -> Reaching:
        """Return what asks the other regions' API whether they answer."""
        return Probes({name: peer.api for name, peer in self._config.peers.items()})

    def survey(self, agent: Agent, observing: Observing) -> Survey:
        """Return what looks for what is wrong."""
        return Surveying(self._config, agent, observing, self.metrics, FindingPolicy())

    def loops(self, agent: Agent) -> Mapping[str, Loop]:
        """Watch the wall clock; serve the metrics."""
        config = self._config
        loops: dict[str, Loop] = {}
        if config.peers:
            loops["clock"] = ClockSetBack(
                config.admin_database, here=config.region, peers=config.peers, clock=agent.clock, log=agent.log
            ).run
        if config.agent_port:
            loops["metrics"] = partial(self.metrics.serve, config.api_host, config.agent_port)
        return loops
