"""The feed process as it ships: streams are woken by a write, and its numbers are answered beside it."""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from intelgraph.changelog.feed.streams import CHANNEL
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.settings import Issuer, RegionConfig, SqliteControl, dump_region_config
from tests.machine import WAIT_S
from tests.replication.lone import HERE, Lone, upsert

pytestmark = pytest.mark.postgres
Tell = Callable[[Any], None]


def config_of(region: Lone, port: int) -> RegionConfig:
    database, admin = (
        msgspec.structs.replace(region.server.login(role), database=region.database) for role in ("ig_api", "ig_admin")
    )
    return RegionConfig(
        region=HERE,
        zone="test",
        directory="unused",
        database=database,
        admin_database=admin,
        peers={},
        control=SqliteControl(path="unused"),
        issuer=Issuer(issuer="unused", audience="unused", jwks="unused"),
        api_host="127.0.0.1",
        api_port=1,
        feed_port=port,
    )


def numbers(port: int) -> str:
    """What is answered at the port; nothing while nobody answers there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())
    except (OSError, urllib.error.URLError):
        return ""


async def until(condition: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline_s, "what was waited for did not come"
        await asyncio.sleep(0.05)


def test_the_process_wakes_streams_and_tells_how_its_subscribers_are(alone: Tell, tmp_path: Path) -> None:
    async def story(region: Lone) -> None:
        await region.open(1)
        port = free_ports(1)[0]
        path = tmp_path / "region.json"
        path.write_bytes(dump_region_config(config_of(region, port)))
        woken = 0

        def wake(*_: object) -> None:
            nonlocal woken
            woken += 1

        await region.main.add_listener(CHANNEL, wake)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "intelgraph.changelog.feed", "--config", str(path), stdout=asyncio.subprocess.PIPE
        )
        try:
            await until(lambda: 'ig_subscriber_state{state="following",subscriber="streams"} 1.0' in numbers(port))
            assert 'ig_subscriber_lag_rows{subscriber="streams"} 0.0' in numbers(port)
            before = woken
            await region.append(1, upsert("a"))
            await until(lambda: woken > before)
        finally:
            process.terminate()
            output, _ = await process.communicate()
        assert process.returncode == 0
        assert b"subscriber_failed" not in output
        assert b"loop_interrupted" not in output

    alone(story)
