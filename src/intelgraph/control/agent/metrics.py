"""What an agent counts and measures, in Prometheus's exposition format, on a port of its own.

Whoever asks there asks another process (``exposition``): the one that keeps the lease has no connection, thread or
file more for it.

RESIDENCY: a label is a region, a placement or a code; never a tenant or an id.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from intelgraph.control.directory.plans import Times
from intelgraph.exposition import serve_beside
from intelgraph.placement.plan import Kind, Plan

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 300.0)


class AgentMetrics:
    """The numbers of one agent."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.lease_still = Gauge(
            "ig_lease_still_seconds", "For how long a region's lease has stood still.", ["region"], registry=registry
        )
        self.lease_held = Gauge(
            "ig_lease_held", "1 while this region's own lease is renewed, else 0.", registry=registry
        )
        self.writes_well = Gauge(
            "ig_writes_well", "1 while probes of this region's own write path get through, else 0.", registry=registry
        )
        self.writes_failing = Gauge(
            "ig_writes_failing_seconds", "For how long no probe of this region's own write path has got through.",
            registry=registry,
        )  # fmt: skip
        self.home = Gauge("ig_placement_home", "1 where this region writes.", ["placement"], registry=registry)
        self.epoch = Gauge("ig_placement_epoch", "The placement's epoch.", ["placement"], registry=registry)
        self.degraded = Gauge(
            "ig_placement_degraded", "1 while writes have less durability than declared.", ["placement"],
            registry=registry,
        )  # fmt: skip
        self.rpo = Gauge(
            "ig_rpo_seconds", "Age of the oldest write that the standby may lack, at the home.", ["placement"],
            registry=registry,
        )  # fmt: skip
        self.echo_lag = Gauge(
            "ig_echo_lag_seconds", "Age of what this region knows of another's log.", ["origin"], registry=registry
        )
        self.slot_backlog = Gauge("ig_slot_backlog_bytes", "Log kept for a destination.", ["slot"], registry=registry)
        self.waiting = Gauge(
            "ig_salvage_waiting_rows", "Rows that wait for a person's decision.", ["placement"], registry=registry
        )
        self.findings = Gauge("ig_findings", "What is wrong here, by code.", ["code"], registry=registry)
        self._salvaged = Counter("ig_salvaged_rows", "Rows decided about by policy.", ["decision"], registry=registry)
        self._plans = Counter("ig_plans", "Plans that ended here.", ["kind", "outcome"], registry=registry)
        self._rto = Histogram(
            "ig_rto_seconds", "From a home's last sign of life until writes were open here.", registry=registry,
            buckets=_SECONDS,
        )  # fmt: skip
        self._repair = Histogram(
            "ig_failover_repair_seconds", "From the decision to fail over until writes were open here (MTTR).",
            registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self.stands = Gauge(
            "ig_placement_stands", "1 while something would have to be done about a placement and cannot be.",
            ["placement", "code"], registry=registry,
        )  # fmt: skip

    def salvaged(self, *, adopted: int, rejected: int) -> None:
        """Count what a round of salvage decided."""
        self._salvaged.labels("adopted").inc(adopted)
        self._salvaged.labels("rejected").inc(rejected)

    def ended(self, plan: Plan, times: Times) -> None:
        """Count a plan that was carried out or given up."""
        self._plans.labels(plan.kind.value, "given_up" if plan.abandoned else "done").inc()
        if plan.kind is Kind.FAILOVER and plan.abandoned is None:
            if times.rto_s is not None:
                self._rto.observe(times.rto_s)
            if times.took_s is not None:
                self._repair.observe(times.took_s)

    async def serve(self, host: str, port: int) -> None:
        """Have ``GET /metrics`` answered until cancelled, by a process that is sent the numbers every second."""
        await serve_beside(lambda: generate_latest(self.registry), host=host, port=port)
