"""Told by example: what a region may conclude after a slot was lost, or after it was removed and allowed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from intelgraph.changelog.model.append import Request

from .comparison import compare
from .regions import cluster, server
from .world import World

US, EU = "us-east", "eu-west"

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def worlds() -> Iterator[Callable[[], World]]:
    with server() as scratch, cluster(scratch, (US, EU)) as regions:
        yield lambda: World(cluster=regions, names=(US, EU), number=regions.begin())


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    made = worlds()
    made.open(US, (US, EU), force=False)
    write(made, US, "a")
    made.mark(US)
    made.deliver_everything()
    return made


def write(world: World, region: str, id_: str) -> None:
    operation = {"op": "upsert_entity", "entity": {"id": id_, "type": "t", "name": "n"}}
    tenant = world.tenant(0)
    key = f"{region}-{id_}-{world.epoch}"
    epoch = world.believed(region)
    world.append(region, Request(epoch=epoch, tenant=tenant, key=key, request=key, operations=(operation,)))


def hear(world: World, origin: str, region: str) -> None:
    while world.deliver(origin, region):
        pass


def test_an_old_home_does_not_claim_the_rows_that_it_lost_of_its_successor(world: World) -> None:
    """It does not know that it is the old home, so nobody told it of a gap; its cut must not reach over the loss."""
    for region in (EU, US):
        world.open(region, (US, EU), force=False)
        world.deliver_everything()
    world.open(EU, (US, EU), force=False)
    write(world, EU, "b")
    world.lose(EU, US)
    world.mark(EU)
    hear(world, EU, US)
    world.open(US, (US, EU), force=False)  # looks itself for rows that the cut covers and its home lacks


def test_rows_of_an_epoch_whose_open_was_lost_are_a_gap(world: World) -> None:
    world.open(EU, (US, EU), force=False)
    world.lose(EU, US)
    write(world, EU, "b")
    hear(world, EU, US)
    compare(world, US)
    assert world.gaps[US] is not None


def test_an_open_that_was_cut_off_while_its_region_was_away_is_inert_when_it_is_back(world: World) -> None:
    world.open(US, (US, EU), force=False)
    world.open(EU, (EU,), force=False)
    hear(world, EU, US)
    hear(world, US, EU)
    world.open(EU, (US, EU), force=False)
    hear(world, EU, US)
    compare(world, US)


def test_a_region_that_was_removed_cannot_open_an_epoch_on_its_stubs(world: World) -> None:
    world.open(US, (US,), force=False)
    hear(world, US, EU)
    arguments = (world.placement, 3, EU, [US, EU], None, "home", b"k" * 32, False)
    answer = world.cluster.ask(EU, "select ig.open($1, $2, $3, $4, $5, $6, $7, $8)", *arguments)
    assert answer["status"] == "refused"
