"""The whole workload at two real regions: every kind of operation is done and judged, and nothing is found."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from intelgraph.drill.checker import check
from intelgraph.drill.history import History, Kind, Operation, read_history
from intelgraph.drill.mix import MixSettings
from intelgraph.drill.workload import Recorder, Target, Workload, WorkloadSettings
from tests.api.site import EU, US, Site, two_regions

pytestmark = pytest.mark.postgres
OPERATIONS = 900
"""Enough that every kind comes many times, however slow the machine is."""


class _Watch:
    """Counts what has ended, and says when it is enough."""

    def __init__(self) -> None:
        self.ended = 0
        self.third = asyncio.Event()
        self.enough = asyncio.Event()

    def __call__(self, operation: Operation) -> None:
        self.ended += 1
        if self.ended >= OPERATIONS / 3:
            self.third.set()
        if self.ended >= OPERATIONS:
            self.enough.set()


async def _work(site: Site, path: Path) -> None:
    """Work until it is enough; meanwhile the door of one region is started anew."""
    target = Target(
        tenant="acme",
        placement="both",
        regions=(US, EU),
        urls={name: region.url for name, region in site.regions.items()},
        token=lambda: site.issuer.token("acme"),
    )
    settings = WorkloadSettings(clients_per_region=4, rate_per_s=None, seed=3, mix=MixSettings(page=20))
    watch = _Watch()
    with Recorder(path, Recorder.header([target], seed=3), watch=watch) as recorder:
        async with Workload(target, settings, recorder, run="w1") as workload, asyncio.TaskGroup() as group:
            await workload.open()
            working = group.create_task(workload.run(watch.enough))
            await watch.third.wait()
            await asyncio.to_thread(site.eu.stop, "api")
            site.eu.start("api")
            await asyncio.to_thread(site.eu.wait_ready)
            await working
            await workload.read_in_the_end()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    directory = tmp_path_factory.mktemp("workload")
    with two_regions(directory) as site:
        asyncio.run(_work(site, directory / "history.jsonl"))
    return read_history(directory / "history.jsonl")


def test_nothing_is_found(history: History) -> None:
    verdicts = check(history)
    found = [f"{each.check} {each.kind}: {each.reason}" for verdict in verdicts for each in verdict.anomalies]
    assert not found, found[:10]


def test_every_kind_is_done_and_acknowledged(history: History) -> None:
    assert {each.kind for each in history.operations if each.acknowledged} == set(Kind)


def test_edges_to_nodes_that_are_being_deleted_are_asked_for(history: History) -> None:
    codes = Counter(each.code for each in history.operations if each.kind is Kind.RELATE and not each.acknowledged)
    assert codes["dangling"] > 0, codes


def test_sets_are_read_in_several_pages_and_followers_come_back(history: History) -> None:
    pages = [each for each in history.operations if each.kind is Kind.PAGES and each.acknowledged]
    assert max(len(each.members) for each in pages) > 2 * 20
    followed = [each for each in history.operations if each.kind is Kind.FOLLOW and each.acknowledged]
    assert len(followed) > 2, "a stream of the door that was started anew ends, and the follower opens another"
    assert all(each.members for each in followed if each.region == US)
