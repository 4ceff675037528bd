"""Tenants and placements: created once, changed only from what was read, denied when unknown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from intelgraph.control.directory import cache as cached_directory
from intelgraph.control.directory.cache import CachedDirectory, Located
from intelgraph.control.directory.placements import Directory
from intelgraph.control.store.protocol import Snapshot
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.model.errors import IntelGraphError
from intelgraph.model.placement import Declared, Durability, Placement, StandbyLoss, Tenant
from tests.machine import WAIT_S
from tests.next_epoch import moved

BOTH = Placement(
    id="both",
    home="us-east",
    standby="eu-west",
    regions=("us-east", "eu-west"),
    epoch=1,
    durability=Durability.REMOTE,
)
ACME = Tenant(id="acme", placement="both")


def run(body: Awaitable[None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(90):
            await body

    asyncio.run(bounded())


@asynccontextmanager
async def directory(tmp_path: Path) -> AsyncIterator[tuple[SqliteControlStore, Directory]]:
    store = SqliteControlStore(tmp_path / "control.db", poll_s=0.01)
    try:
        yield store, Directory(store)
    finally:
        await store.close()


async def refusal(action: Awaitable[object]) -> str:
    with pytest.raises(IntelGraphError) as caught:
        await action
    return caught.value.denied.code


def test_creating_the_same_placement_again_gives_the_same_answer_and_digest_key(tmp_path: Path) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (_, tenants):
            first = await tenants.create_placement(BOTH)
            assert len(bytes.fromhex(first.digest_key)) == 32
            assert await tenants.create_placement(BOTH) == first

    run(body())


def test_creating_a_placement_with_other_values_is_refused(tmp_path: Path) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (_, tenants):
            await tenants.create_placement(BOTH)
            other = replace(BOTH, home="eu-west", standby="us-east")
            assert await refusal(tenants.create_placement(other)) == "placement_exists"

    run(body())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"on_standby_loss": StandbyLoss.STRICT}, "on_standby_loss is degrade (asked for strict)"),
        ({"rpo_s_max": 5.0}, "rpo_s_max is 60 (asked for 5)"),
        ({"home": "eu-west"}, "home is us-east (asked for eu-west)"),
        ({"durability": Durability.HOME}, "durability is remote (asked for home)"),
    ],
)
def test_a_placement_that_has_moved_is_still_what_was_declared_and_nothing_else(
    tmp_path: Path, other: dict[str, Any], said: str
) -> None:
    declared = Declared(home="us-east", durability=Durability.REMOTE)
    asked = replace(BOTH, declared=declared)

    async def body() -> None:
        async with directory(tmp_path) as (_, tenants):
            now = await tenants.update_placement(await tenants.create_placement(asked), moved(asked, "eu-west"))
            assert await tenants.create_placement(asked) == now
            wish = replace(declared, **other)
            with pytest.raises(IntelGraphError) as caught:
                await tenants.create_placement(replace(asked, declared=wish))
            assert caught.value.denied.code == "placement_exists"
            assert caught.value.denied.facts["differs"] == [said]
            assert said in caught.value.denied.reason

    run(body())


def test_a_placement_is_changed_only_from_the_version_that_was_read(tmp_path: Path) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (_, tenants):
            read = await tenants.create_placement(BOTH)
            changed = await tenants.update_placement(read, moved(BOTH, "eu-west"))
            assert (changed.placement.home, changed.placement.standby, changed.placement.epoch) == (
                "eu-west",
                "us-east",
                2,
            )
            assert changed.digest_key == read.digest_key
            assert await refusal(tenants.update_placement(read, moved(BOTH, "eu-west"))) == "placement_changed"
            skipped = replace(changed.placement, epoch=4)
            assert await refusal(tenants.update_placement(changed, skipped)) == "bad_epoch"

    run(body())


def test_a_tenant_needs_a_placement_and_stays_in_it(tmp_path: Path) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (_, tenants):
            assert await refusal(tenants.create_tenant(ACME)) == "unknown_placement"
            await tenants.create_placement(BOTH)
            await tenants.create_placement(replace(BOTH, id="other"))
            assert await tenants.create_tenant(ACME) == ACME
            assert await tenants.create_tenant(ACME) == ACME
            assert await refusal(tenants.create_tenant(replace(ACME, placement="other"))) == "tenant_exists"
            assert await tenants.tenants() == [ACME]

    run(body())


@asynccontextmanager
async def followed(cache: CachedDirectory) -> AsyncIterator[None]:
    """The cache while its task runs and has read everything."""
    following = asyncio.create_task(cache.run())
    while not cache.is_current:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def test_a_tenant_created_a_moment_ago_is_served_and_an_unknown_one_is_denied(tmp_path: Path) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (store, tenants):
            cache = CachedDirectory(store, ttl_s=1.0)
            assert await refusal(cache.locate("acme")) == "unknown_tenant"
            await tenants.create_placement(BOTH)
            await tenants.create_tenant(ACME)
            assert (await cache.locate("acme")).placement == BOTH

    run(body())


class _AskedAtTheEnd(SqliteControlStore):
    """A store whose first answer is also the moment at which somebody else asks."""

    ask: Callable[[], None] | None = None

    async def read(self, keys: Sequence[str] = (), *, prefix: str | None = None) -> Snapshot:
        found = await super().read(keys, prefix=prefix)
        ask, self.ask = self.ask, None
        if ask is not None:
            ask()
        return found


@pytest.mark.parametrize("others", [1, 3])
def test_who_asks_just_when_another_question_is_answered_gets_an_answer_of_its_own(tmp_path: Path, others: int) -> None:
    async def body() -> None:
        store = _AskedAtTheEnd(tmp_path / "control.db", poll_s=0.01)
        try:
            tenants = Directory(store)
            await tenants.create_placement(BOTH)
            for number in range(others):
                await tenants.create_tenant(Tenant(id=f"acme-{number}", placement="both"))
            cache = CachedDirectory(store, ttl_s=60.0)
            asked: list[asyncio.Task[Located]] = []

            def ask() -> None:
                asked.extend(asyncio.ensure_future(cache.locate(f"acme-{number}")) for number in range(others))

            store.ask = ask
            await cache.refresh()
            assert [found.tenant for found in await asyncio.gather(*asked)] == [f"acme-{n}" for n in range(others)]
        finally:
            await store.close()

    run(body())


def test_a_changed_placement_reaches_the_cache_by_its_watch(tmp_path: Path) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (store, _):
            other = SqliteControlStore(tmp_path / "control.db")
            tenants = Directory(other)
            record = await tenants.create_placement(BOTH)
            await tenants.create_tenant(ACME)
            cache = CachedDirectory(store, ttl_s=1.0)
            following = asyncio.create_task(cache.run())
            await cache.locate("acme")
            await tenants.update_placement(record, moved(BOTH, "eu-west"))
            while (located := cache.cached("acme")) is None or located.placement.epoch != 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            following.cancel()
            await other.close()

    run(body())


def test_a_tenant_that_was_created_while_all_tenants_are_read_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (store, tenants):
            await tenants.create_placement(BOTH)
            kept = CachedDirectory(store, ttl_s=1.0)
            asked: list[asyncio.Task[Located]] = []

            async def of(snapshot: Snapshot) -> dict[str, str]:
                if not asked:
                    await tenants.create_tenant(ACME)
                    asked.append(asyncio.ensure_future(kept.locate("acme")))
                    while "acme" not in kept._tenants:  # noqa: ASYNC110
                        await asyncio.sleep(0)
                return {}

            monkeypatch.setattr(cached_directory, "_tenants_of", of)
            async with followed(kept):
                assert (await asked[0]).placement == BOTH

    run(body())


def replaced(path: Path, by: Path) -> None:
    """Put another file in a store's place, at once."""
    for file in path.parent.glob(f"{path.name}-*"):
        file.unlink()
    by.rename(path)


@pytest.mark.parametrize("is_seen_missing", [True, False])
def test_a_store_that_was_made_anew_is_believed_although_its_revisions_are_lower(
    tmp_path: Path, is_seen_missing: bool
) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (store, tenants):
            record = await tenants.create_placement(BOTH)
            await tenants.create_placement(replace(BOTH, id="gone"))
            await tenants.create_tenant(ACME)
            for _ in range(3):
                record = await tenants.update_placement(record, moved(record.placement, record.placement.standby or ""))
            anew = SqliteControlStore(tmp_path / "anew.db")
            await Directory(anew).create_placement(replace(BOTH, home="eu-west", standby="us-east"))
            await Directory(anew).create_tenant(ACME)
            await anew.close()
            cache = CachedDirectory(store, ttl_s=1.0)
            async with followed(cache):
                assert (await cache.locate("acme")).placement.epoch == 4
                if is_seen_missing:
                    (tmp_path / "control.db").unlink()
                    assert await refusal(cache.refresh()) == "directory_unreadable"
                replaced(tmp_path / "control.db", tmp_path / "anew.db")
                async with asyncio.timeout(WAIT_S):
                    while (located := cache.cached("acme")) is None or located.placement.epoch != 1:  # noqa: ASYNC110
                        await asyncio.sleep(0.005)
                assert located.placement.home == "eu-west"
                assert cache.epoch_of("gone") == 0

    run(body())


def test_a_silent_store_is_told_and_reads_go_on_until_what_is_known_is_too_old(tmp_path: Path) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (store, tenants):
            await tenants.create_placement(BOTH)
            await tenants.create_tenant(ACME)
            now_s = 100.0
            cache = CachedDirectory(store, ttl_s=1.0, stale_s_max=600.0, monotonic=lambda: now_s)
            assert cache.cached("acme") is None
            async with followed(cache):
                assert (await cache.locate("acme")).placement == BOTH
                assert cache.is_current
                assert cache.why_old() is None
            await store.close()
            now_s += 10.0
            assert cache.cached("acme") is not None
            assert not cache.is_current
            assert "silent for 10.0 s" in (cache.why_old() or "")
            assert cache.why_unreadable() is None
            assert await refusal(cache.locate("globex")) == "directory_unreadable"
            now_s += 600.0
            assert cache.cached("acme") is None
            assert "silent for 610 s" in (cache.why_unreadable() or "")
            assert await refusal(cache.locate("acme")) == "directory_unreadable"

    run(body())


def test_a_placement_that_moves_reaches_all_of_its_tenants_and_others_keep_what_was_found(tmp_path: Path) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (store, tenants):
            record = await tenants.create_placement(BOTH)
            await tenants.create_placement(replace(BOTH, id="other"))
            for name in ("acme", "globex"):
                await tenants.create_tenant(Tenant(id=name, placement="both"))
            await tenants.create_tenant(Tenant(id="hooli", placement="other"))
            told: list[None] = []
            cache = CachedDirectory(store, ttl_s=1.0, on_change=lambda: told.append(None))
            async with followed(cache):
                kept = cache.cached("hooli")
                told.clear()
                await tenants.update_placement(record, moved(BOTH, "eu-west"))
                while not told:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                for name in ("acme", "globex"):
                    located = cache.cached(name)
                    assert located is not None
                    assert located.placement.home == "eu-west"
                assert cache.cached("hooli") is kept

    run(body())


def test_a_malformed_placement_denies_its_tenants(tmp_path: Path) -> None:
    async def body() -> None:
        async with directory(tmp_path) as (store, tenants):
            record = await tenants.create_placement(BOTH)
            await tenants.create_tenant(ACME)
            await store.compare_and_set(expected={"placements/both": record.version}, writes={"placements/both": b"{}"})
            cache = CachedDirectory(store, ttl_s=1.0)
            assert await refusal(cache.locate("acme")) == "unknown_tenant"

    run(body())


class _MovedMeanwhile(SqliteControlStore):
    """A store in which a placement moves just before the first tenant is written."""

    move: Callable[[], Awaitable[object]] | None = None

    async def compare_and_set(self, *, expected: Mapping[str, int], writes: Mapping[str, bytes | None]) -> bool:
        move, self.move = self.move, None
        if move is not None:
            await move()
        return await super().compare_and_set(expected=expected, writes=writes)


def test_a_tenant_is_created_though_its_placement_moves_meanwhile(tmp_path: Path) -> None:
    async def body() -> None:
        store = _MovedMeanwhile(tmp_path / "control.db", poll_s=0.01)
        try:
            tenants = Directory(store)
            record = await tenants.create_placement(BOTH)
            store.move = lambda: tenants.update_placement(record, replace(BOTH, epoch=2))
            assert await tenants.create_tenant(ACME) == ACME
        finally:
            await store.close()

    run(body())
