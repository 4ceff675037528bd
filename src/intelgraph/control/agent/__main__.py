"""``python -m intelgraph.control.agent --config region.json`` or ``--witness witness.json``: one agent process.

The composition root: reads the settings, makes the clock, the store, the heartbeat and the hook, and runs the agent
until SIGTERM. A region's agent lets go of its database at once; its lease then runs out by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import shutil
from functools import partial
from pathlib import Path

import uvloop

from intelgraph.control.agent.agent import Agent, Hook, Parts
from intelgraph.control.agent.controller.controller import RegionHook
from intelgraph.control.agent.controller.ports import MachinePorts
from intelgraph.control.agent.leases.disk_room import RoomyHeartbeat
from intelgraph.control.agent.leases.grants import serve_grants
from intelgraph.control.agent.leases.heartbeat import PostgresHeartbeat
from intelgraph.control.agent.leases.keeper import LeaseKeeper
from intelgraph.control.agent.leases.steady import steady_s
from intelgraph.control.agent.leases.times import lease_policy
from intelgraph.control.agent.leases.watching import Watching
from intelgraph.control.agent.observer.witness import WitnessHook
from intelgraph.control.directory.reports import WITNESS
from intelgraph.control.store.opened import open_store
from intelgraph.control.store.protocol import ControlStore
from intelgraph.placement.policy import Policy
from intelgraph.runtime.stop_signals import run_until_signal
from intelgraph.settings import RegionConfig, WitnessConfig, load_region_config, load_witness_config


def region_hook(config: RegionConfig) -> Hook:
    """Return what a region's agent does besides keeping its lease."""
    return RegionHook(config.region, MachinePorts(config), Policy(lease=lease_policy(config.lease)))


def witness_hook(config: WitnessConfig) -> Hook:
    """Return what the witness's agent does besides looking."""
    return WitnessHook(config)


async def run_region(config: RegionConfig) -> None:
    """Run a region's agent until cancelled."""
    store, for_lease = open_store(config.control), open_store(config.control)
    heartbeat = PostgresHeartbeat(config.admin_database)
    policy = lease_policy(config.lease)
    parts = Parts(
        here=config.region,
        region=config,
        store=store,
        policy=policy,
        clock=steady_s,
        watching=Watching(vantage=config.region, store=store, policy=policy, clock=steady_s),
        keeper=LeaseKeeper(
            region=config.region,
            term=secrets.token_hex(8),
            store=for_lease,  # a way of its own: no other question to the store makes a renewal wait
            heartbeat=RoomyHeartbeat(
                heartbeat, region=config.region, room=lambda: shutil.disk_usage(config.directory).free
            ),
            policy=policy,
            clock=steady_s,
        ),
        look_s=config.lease.look_s,
        serve_grants=partial(serve_grants, path=Path(config.agent_socket)) if config.agent_socket else None,
    )
    try:
        await Agent(parts, region_hook(config)).run()
    finally:
        await heartbeat.close()
        await for_lease.close()
        await store.close()


async def run_witness(config: WitnessConfig) -> None:
    """Run the witness's agent until cancelled."""
    store: ControlStore = open_store(config.control)
    policy = lease_policy(config.lease)
    parts = Parts(
        here=WITNESS,
        region=None,
        store=store,
        policy=policy,
        clock=steady_s,
        watching=Watching(vantage=WITNESS, store=store, policy=policy, clock=steady_s),
        keeper=None,
        look_s=config.lease.look_s,
    )
    try:
        await Agent(parts, witness_hook(config)).run()
    finally:
        await store.close()


def main() -> None:
    """Parse the arguments and run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Run the agent of one region, or of the witness.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--config", type=Path, help="the region's settings (region.json)")
    which.add_argument("--witness", type=Path, help="the witness's settings (witness.json)")
    given = parser.parse_args()
    work = (
        run_region(load_region_config(given.config))
        if given.config
        else run_witness(load_witness_config(given.witness))
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_until_signal(work))


if __name__ == "__main__":
    main()
