"""Surveying: turns what the agent has seen into findings for its report, and into its metrics."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from intelgraph.changelog.links import slot_name
from intelgraph.control.agent import Agent
from intelgraph.control.agent_metrics import AgentMetrics
from intelgraph.control.findings import FindingPolicy, State, Surroundings, findings
from intelgraph.control.observing import Observing
from intelgraph.control.own_database import Observed
from intelgraph.model.errors import Denied
from intelgraph.settings import RegionConfig


class Surveying:
    """What is wrong in one region, and its numbers."""

    def __init__(
        self, config: RegionConfig, agent: Agent, observing: Observing, metrics: AgentMetrics, policy: FindingPolicy
    ) -> None:
        self._config = config
        self._agent = agent
        self._observing = observing
        self._metrics = metrics
        self._policy = policy
        self._wall_ahead_s = time.time() - agent.clock()
        self._down_since_s: dict[str, float] = {}
        self._told: set[tuple[str, str]] = set()

    def findings(self, stands: Mapping[str, Denied], waiting_rows: Mapping[str, int]) -> tuple[Denied, ...]:
        """List what is wrong now; what is new is told in the log."""
        own = self._observing.own
        found = findings(
            State(
                here=self._config.region,
                peers=tuple(sorted(self._config.peers)),
                own=own,
                not_renewed=self._agent.not_renewed,
                surroundings=self._surroundings(),
                links_down_s=self._links_down(own),
                stands=stands,
                waiting_rows=waiting_rows,
            ),
            self._policy,
        )
        now = {(each.code, str(each.facts.get("about", each.facts.get("placement", "")))): each for each in found}
        for key, each in now.items():
            if key not in self._told:
                self._agent.log("found", code=each.code, reason=each.reason)
        self._told = set(now)
        self._measure(own, found, stands, waiting_rows)
        return found

    def _surroundings(self) -> Surroundings:
        disk = shutil.disk_usage(Path(self._config.directory))
        wall_s = time.time()
        return Surroundings(
            disk_free_bytes=disk.free,
            disk_bytes=disk.total,
            clock_stepped_s=wall_s - self._agent.clock() - self._wall_ahead_s,
            clocks_apart_s=self._agent.watching.clocks_apart_s(wall_s),
        )

    def _links_down(self, own: Observed | None) -> Mapping[str, float]:
        now_s = self._agent.clock()
        for peer in self._config.peers:
            slot = own.links.slots.get(slot_name(self._config.region, peer)) if own is not None else None
            if slot is not None and slot.active:
                self._down_since_s.pop(peer, None)
            else:
                self._down_since_s.setdefault(peer, now_s)
        return {peer: now_s - since_s for peer, since_s in self._down_since_s.items()}

    def _measure(
        self,
        own: Observed | None,
        found: tuple[Denied, ...],
        stands: Mapping[str, Denied],
        waiting_rows: Mapping[str, int],
    ) -> None:
        metrics, here = self._metrics, self._config.region
        metrics.lease_held.set(0 if self._agent.grant is None or self._agent.grant.until_s < self._agent.clock() else 1)
        for region, lease in self._agent.watching.leases.items():
            metrics.lease_still.labels(region).set(lease.still_s)
        metrics.findings.clear()
        for each in found:
            metrics.findings.labels(each.code).inc()
        metrics.stands.clear()
        for name, record in self._observing.known.placements.items():
            placement = record.placement
            at_home = placement.home == here
            metrics.home.labels(name).set(1 if at_home else 0)
            metrics.epoch.labels(name).set(placement.epoch)
            metrics.degraded.labels(name).set(1 if placement.is_degraded else 0)
            metrics.waiting.labels(name).set(waiting_rows.get(name, 0))
            behind_s = self._observing.unconfirmed_s(placement.standby) if at_home and placement.standby else None
            if behind_s is not None:
                metrics.rpo.labels(name).set(behind_s)
            if name in stands and at_home:
                metrics.stands.labels(name, stands[name].code).set(1)
        if own is not None:
            for origin, token_ns in own.tokens.items():
                metrics.echo_lag.labels(origin).set(max(0.0, (time.monotonic_ns() - token_ns) / 1e9))
            for name, slot in own.links.slots.items():
                metrics.slot_backlog.labels(name).set(slot.kept_bytes or 0)
