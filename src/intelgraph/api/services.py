"""The composition root: everything one worker serves with, made once, and each handler given what it needs.

Nothing else in this package builds a clock, a pool or a counter. What a worker does with a request is ``app``'s.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from intelgraph import __version__
from intelgraph.api.admission import Admission
from intelgraph.api.auth.authentication import Authenticator
from intelgraph.api.auth.keys import KeySet
from intelgraph.api.auth.trusted_clock import TrustedClock
from intelgraph.api.database.database import Database
from intelgraph.api.database.feed import FeedNotices
from intelgraph.api.database.query_batching import QueryBatcher
from intelgraph.api.graphql.documents import Documents
from intelgraph.api.graphql.handler import GraphQL
from intelgraph.api.graphql.ide import GraphiQL
from intelgraph.api.graphql.media_types import MediaTypes
from intelgraph.api.graphql.persisted import PersistedDocuments
from intelgraph.api.graphql.queries import Queries
from intelgraph.api.graphql.stream import Subscriptions
from intelgraph.api.graphql.write import Mutations
from intelgraph.api.health import Health, Readiness
from intelgraph.api.limits.bodies import Bodies
from intelgraph.api.limits.outgoing import Outgoing
from intelgraph.api.limits.planner_thread import PlannerThread
from intelgraph.api.limits.quota import ConnectionLoad, Quota
from intelgraph.api.logs import Log
from intelgraph.api.metrics import Metrics
from intelgraph.api.policy import Share, WorkerPolicy
from intelgraph.api.read.bookmarks import BookmarkWaiters
from intelgraph.api.read.reader import Reader
from intelgraph.api.read.rest import RestReads
from intelgraph.api.read.stream import Streams
from intelgraph.api.routes import Handlers, Routes
from intelgraph.api.write.acknowledgement import Acknowledgement
from intelgraph.api.write.durability import LeaseCheck, Unleased
from intelgraph.api.write.forward import Forwarder
from intelgraph.api.write.granted import GrantedLease
from intelgraph.api.write.group_commit import GroupCommit
from intelgraph.api.write.handover import Handover
from intelgraph.api.write.home import Home
from intelgraph.api.write.probe import WriteProbe
from intelgraph.api.write.rest import RestWrites
from intelgraph.api.write.write_queue import WriteQueue
from intelgraph.api.write.writer import Writer
from intelgraph.changelog.durability import StandbyWaiter
from intelgraph.control.agent.leases.steady import steady_s
from intelgraph.control.directory.cache import CachedDirectory
from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ControlStore
from intelgraph.graph.engines.postgres.engine import PostgresEngine
from intelgraph.graph.query.planning import Planner
from intelgraph.graph.query.schema import load_schema
from intelgraph.runtime.loops import Loop
from intelgraph.settings import ApiPolicy, RegionConfig

_MEASURE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Services:
    """What one worker answers with, and what keeps it current."""

    routes: Routes
    directory: CachedDirectory
    outgoing: Outgoing
    connections: ConnectionLoad
    metrics: Metrics
    log: Log
    loops: tuple[Loop, ...]
    """Each must be a task of its own for as long as the worker serves."""
    begin_stop: Callable[[], None]
    """Has every stream and every held write end: this process is about to stop."""
    stop: Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class _Region:
    """What reads and writes alike stand on."""

    config: RegionConfig
    store: ControlStore
    directory: CachedDirectory
    database: Database
    keys: KeySet
    authenticator: Authenticator
    admission: Admission
    lease: LeaseCheck
    lease_loops: tuple[Loop, ...]
    write_queue: WriteQueue
    bodies: Bodies
    planner_thread: PlannerThread
    metrics: Metrics
    log: Log

    @property
    def policy(self) -> ApiPolicy:
        return self.config.api


async def compose(config: RegionConfig, policy: WorkerPolicy) -> Services:
    """Make what a worker serves with; the caller runs ``loops``, and ends with ``stop``."""
    region = await _region(config, policy)
    waiters, feed, stopping = BookmarkWaiters(region.database), FeedNotices(region.database), asyncio.Event()
    reader = Reader(
        region=config.region,
        database=region.database,
        waiters=waiters,
        lease=region.lease,
        bookmark_wait_s=config.api.bookmark_wait_s,
        on_wait=region.metrics.bookmark_wait.observe,
    )
    streams = Streams(
        reader=reader,
        tenants=region.directory,
        feed=feed,
        outgoing=region.database.outgoing,
        open=_quota("streams", policy.streams.open, region.metrics),
        log=region.log,
        now_s=region.authenticator.now_s,
        stopping=stopping,
        turns=asyncio.Semaphore(policy.streams.reads_at_once),
        policy=policy.streams,
        stalled_s=policy.http.stalled_s,
    )
    forwarder = Forwarder(config.peers, region.metrics)
    writer = _writer(region, forwarder)
    connections = ConnectionLoad(policy.http.connections_max)
    handlers = Handlers(
        graphql=_graphql(region, reader, streams, writer),
        graphiql=GraphiQL(enabled=config.api.graphiql),
        reads=RestReads(
            admission=region.admission, reader=reader, streams=streams, limit_max=config.api.changes_limit_max
        ),
        writes=RestWrites(
            admission=region.admission,
            bodies=region.bodies,
            writer=writer,
            operations_max=config.api.operations_max,
        ),
        health=_health(region, streams, connections),
    )

    def begin_stop() -> None:
        stopping.set()
        region.write_queue.stop()
        feed.wake()

    return Services(
        routes=Routes(handlers),
        directory=region.directory,
        outgoing=region.database.outgoing,
        connections=connections,
        metrics=region.metrics,
        log=region.log,
        loops=(region.keys.run, region.directory.run, waiters.run, feed.run, *region.lease_loops),
        begin_stop=begin_stop,
        stop=partial(_stop, region, forwarder),
    )


async def _stop(region: _Region, forwarder: Forwarder) -> None:
    await forwarder.stop()
    await region.database.stop()
    region.log.write("stopped")
    region.log.flush()
    region.metrics.write()
    await region.store.close()


async def _region(config: RegionConfig, policy: WorkerPolicy) -> _Region:
    metrics = Metrics()
    store = open_store(config.control)
    database = Database(
        config.database,
        config.api,
        outgoing=Outgoing(policy.unread),
        on_retry=metrics.database_retries.inc,
        on_full=metrics.full("waiting"),
    )
    database.outgoing.on_full = metrics.full_of_bytes("unread answers")
    await database.start()
    keys = KeySet(config.issuer.jwks)
    write_queue = WriteQueue(policy=config.api, metrics=metrics)
    directory = CachedDirectory(
        store,
        ttl_s=config.api.directory_ttl_s,
        stale_s_max=config.api.directory_stale_reads_s_max,
        on_change=write_queue.wake,
    )
    wall = TrustedClock(wall=time.time, monotonic=steady_s, compared=bool(config.agent_socket))
    lease, lease_loops = _lease(config, directory, write_queue, metrics, wall)
    authenticator = Authenticator(config.issuer, keys, wall_clock=wall.now_s)
    return _Region(
        config=config,
        store=store,
        directory=directory,
        database=database,
        keys=keys,
        authenticator=authenticator,
        admission=Admission(region=config.region, authenticator=authenticator, tenants=directory),
        lease=lease,
        lease_loops=lease_loops,
        write_queue=write_queue,
        bodies=Bodies(
            bytes_max=config.api.body_bytes_max,
            timeout_s=config.api.body_timeout_s,
            arriving=_quota("bodies", policy.bodies, metrics),
            arrived_bytes=_quota("body_bytes", policy.body_bytes, metrics),
        ),
        planner_thread=PlannerThread(policy.planner_thread),
        metrics=metrics,
        log=Log(facts={"region": config.region, "release": __version__, "worker": os.getpid()}),
    )


def _writer(region: _Region, forwarder: Forwarder) -> Writer:
    policy, database, metrics = region.policy, region.database, region.metrics
    group_commit = GroupCommit(
        database,
        group_max=policy.group_max,
        waiting_max=database.waiting_max,
        waiting_of_tenant_max=database.waiting_of_tenant_max,
        on_group=metrics.grouped.inc,
        on_full=metrics.full("waiting"),
    )
    acknowledgement = Acknowledgement(
        lease=region.lease,
        standby=StandbyWaiter(pool=database.waiter_pool, here=region.config.region),
        epochs=region.directory,
        metrics=metrics,
        remote_wait_s=policy.remote_wait_s,
    )
    return Writer(
        region=region.config.region,
        policy=policy,
        admission=region.admission,
        directory=region.directory,
        write_queue=region.write_queue,
        home=Home(
            database=database,
            group_commit=group_commit,
            lease=region.lease,
            planner_thread=region.planner_thread,
            acknowledgement=acknowledgement,
            metrics=metrics,
        ),
        handover=Handover(
            forwarder=forwarder,
            tenants=region.directory,
            write_queue=region.write_queue,
            remote_wait_s=policy.remote_wait_s,
        ),
    )


def _graphql(region: _Region, reader: Reader, streams: Streams, writer: Writer) -> GraphQL:
    policy, database, metrics = region.policy, region.database, region.metrics
    engine = PostgresEngine()
    planner = Planner(schema=load_schema(), introspection=policy.introspection)
    planner.documents.on_full = metrics.full_of_bytes("documents")
    persisted = PersistedDocuments()
    persisted.texts.on_full = metrics.full_of_bytes("persisted documents")
    reads = QueryBatcher(
        database,
        batch_max=policy.coalesce_max,
        waiting_max=database.waiting_max,
        waiting_of_tenant_max=database.waiting_of_tenant_max,
        on_batch=metrics.coalesced,
        on_full=metrics.full("waiting"),
    )
    return GraphQL(
        admission=region.admission,
        bodies=region.bodies,
        media_types=MediaTypes(),
        documents=Documents(planner=planner, engine=engine, persisted=persisted, planner_thread=region.planner_thread),
        queries=Queries(planner=planner, engine=engine, reads=reads, reader=reader),
        mutations=Mutations(writer=writer, operations_max=policy.operations_max),
        subscriptions=Subscriptions(streams=streams),
        log=region.log,
    )


def _health(region: _Region, streams: Streams, connections: ConnectionLoad) -> Health:
    return Health(
        region=region.config.region,
        release=__version__,
        readiness=Readiness(probe=region.database.probe, why_unreadable=region.directory.why_unreadable),
        lease=region.lease,
        write_probe=WriteProbe(login=region.config.database, lease=region.lease),
        directory=region.directory,
        own_limits={
            "keys": region.authenticator.why_limited,
            "streams": streams.open.why_used_up,
            "bodies": region.bodies.why_used_up,
            "connections": connections.why_used_up,
        },
    )


def _quota(name: str, share: Share, metrics: Metrics) -> Quota:
    return Quota(
        name.replace("_", " "),
        limit=share.most,
        limit_of_tenant=share.each,
        on_change=metrics.quota.labels(name).set,
        on_refusal=metrics.quota_refusals.labels(name).inc,
    )


def _lease(
    config: RegionConfig, directory: CachedDirectory, write_queue: WriteQueue, metrics: Metrics, wall: TrustedClock
) -> tuple[LeaseCheck, tuple[Loop, ...]]:
    """Return how this worker knows what it may acknowledge, and the loops that keep it."""
    if not config.agent_socket:
        return Unleased(directory.why_old), ()
    lease = GrantedLease(
        region=config.region,
        path=config.agent_socket,
        clock=steady_s,
        on_change=write_queue.wake,
        metrics=metrics,
        on_clock=wall.compare,
    )

    async def measure() -> None:
        while True:
            metrics.lease_remaining.set(lease.remains_s())
            await asyncio.sleep(_MEASURE_S)

    return lease, (lease.run, measure)
