"""Surveying: turns what the agent has seen into findings for its report, and into its metrics."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import Gauge

from intelgraph.changelog.links import slot_name
from intelgraph.control.agent.agent import Agent
from intelgraph.control.agent.metrics import AgentMetrics
from intelgraph.control.agent.observer.findings import (
    CAUSES,
    NOTICES,
    FindingPolicy,
    State,
    Surroundings,
    about,
    findings,
)
from intelgraph.control.agent.observer.limits import Limits
from intelgraph.control.agent.observer.observing import Observing
from intelgraph.control.agent.observer.own_database import Observed
from intelgraph.model.errors import Denied
from intelgraph.placement.lease import is_over
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
        self._stepped_s = 0.0
        self._stepped_at_s = agent.clock()
        self._down_since_s: dict[str, float] = {}
        self._feed_seen_s = agent.clock()
        self._unknown_since_s: dict[str, float] = {}
        self._told: set[tuple[str, str]] = set()
        self._labelled: dict[Gauge, set[tuple[str, ...]]] = {}
        self._fresh: dict[Gauge, set[tuple[str, ...]]] = {}
        self.codes: frozenset[str] = frozenset()
        """Of everything that was found last."""

    def findings(
        self, limits: Limits, stands: Mapping[str, Denied], waiting_rows: Mapping[str, int]
    ) -> tuple[Denied, ...]:
        """List what is wrong now; what is new is told in the log."""
        own, watching = self._observing.own, self._agent.watching
        down_s = {name: lease.still_s for name, lease in watching.leases.items() if is_over(lease, self._agent.policy)}
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
                peers_down_s=down_s,
                peers_causes=self._causes(),
                writing=limits.findings(),
                refusals=limits.refusals(),
                feed_silent_s=self._feed_silent(own),
                unknown_s=self._unknown(own),
            ),
            self._policy,
        )
        now = {(each.code, about(each)): each for each in found}
        for key, each in now.items():
            if key not in self._told:
                self._agent.log("found", code=each.code, about=key[1], reason=each.reason)
        for code, what in self._told - now.keys():
            self._agent.log("no_longer_found", code=code, about=what)
        self._told = set(now)
        self.codes = frozenset(each.code for each in found) - NOTICES
        self._measure(own, found, stands, waiting_rows)
        return found

    def _causes(self) -> dict[str, str]:
        """By peer: what it says of itself that explains why it takes nothing."""
        causes = {}
        for name, report in self._agent.watching.heard().items():
            own = [each.code for each in report.findings if each.code in CAUSES and about(each) == name]
            if own:
                causes[name] = own[0]
        return causes

    def _surroundings(self) -> Surroundings:
        disk = shutil.disk_usage(Path(self._config.directory))
        wall_s, now_s = time.time(), self._agent.clock()
        stepped_s = wall_s - now_s - self._wall_ahead_s
        if abs(stepped_s) >= self._policy.clock_step_s:
            self._stepped_s, self._stepped_at_s = stepped_s, now_s
            self._wall_ahead_s = wall_s - now_s
        apart_s = self._agent.watching.clocks_apart_s(wall_s)
        return Surroundings(
            disk_free_bytes=disk.free,
            disk_bytes=disk.total,
            clock_stepped_s=self._stepped_s,
            clock_stepped_s_ago=now_s - self._stepped_at_s,
            clock_ahead_s=self._agent.clock_ahead_s(),
            clocks_apart_s=apart_s,
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

    def _feed_silent(self, own: Observed | None) -> float:
        now_s = self._agent.clock()
        if own is not None and own.feed_silent_s is not None:
            self._feed_seen_s = now_s - own.feed_silent_s
        return now_s - self._feed_seen_s

    def _unknown(self, own: Observed | None) -> Mapping[str, float]:
        known, now_s = self._observing.known, self._agent.clock()
        held = own.placements.keys() if own is not None and known.is_read else set[str]()
        unknown = held - known.placements.keys()
        self._unknown_since_s = {name: self._unknown_since_s.get(name, now_s) for name in unknown}
        return {name: now_s - since_s for name, since_s in self._unknown_since_s.items()}

    def _measure(
        self,
        own: Observed | None,
        found: tuple[Denied, ...],
        stands: Mapping[str, Denied],
        waiting_rows: Mapping[str, int],
    ) -> None:
        metrics, here = self._metrics, self._config.region
        metrics.lease_held.set(0 if self._agent.grant is None or self._agent.grant.until_s < self._agent.clock() else 1)
        path = self._observing.own_writes()
        if path is not None:
            metrics.writes_well.set(0 if path.is_broken else 1)
            metrics.writes_failing.set(path.failing_s)
        for region, lease in self._agent.watching.leases.items():
            self._set(metrics.lease_still, lease.still_s, region)
        for code, count in Counter(each.code for each in found).items():
            self._set(metrics.findings, count, code)
        for name, record in self._observing.known.placements.items():
            placement = record.placement
            at_home = placement.home == here
            self._set(metrics.home, 1 if at_home else 0, name)
            self._set(metrics.epoch, placement.epoch, name)
            self._set(metrics.degraded, 1 if placement.is_degraded else 0, name)
            self._set(metrics.waiting, waiting_rows.get(name, 0), name)
            behind_s = self._observing.unconfirmed_s(placement.standby) if at_home and placement.standby else None
            if behind_s is not None:
                self._set(metrics.rpo, behind_s, name)
            if name in stands and at_home:
                self._set(metrics.stands, 1, name, stands[name].code)
        if own is not None:
            for origin, token_ns in own.tokens.items():
                self._set(metrics.echo_lag, max(0.0, (time.monotonic_ns() - token_ns) / 1e9), origin)
            for name, slot in own.links.slots.items():
                self._set(metrics.slot_backlog, slot.kept_bytes or 0, name)
        self._forget()

    def _set(self, gauge: Gauge, value: float, *labels: str) -> None:
        """Set one number; what is not set again in this round is of something that is over."""
        gauge.labels(*labels).set(value)
        self._fresh.setdefault(gauge, set()).add(labels)

    def _forget(self) -> None:
        for gauge, labelled in self._labelled.items():
            for labels in labelled - self._fresh.get(gauge, set()):
                gauge.remove(*labels)
        self._labelled, self._fresh = self._fresh, {}
