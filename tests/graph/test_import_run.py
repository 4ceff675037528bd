"""An import stores every object or says why not, once, whatever stops it on the way."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelgraph.graph.imports.answer import Answer
from intelgraph.graph.imports.delivery import Form
from intelgraph.graph.imports.journal import Heading, ImportJournal
from intelgraph.graph.imports.plan import BatchLimits, scan
from intelgraph.graph.imports.run import ImportPolicy, ImportRun
from intelgraph.graph.objects import Kind, read_object
from intelgraph.graph.stix.bundle_source import BundleSource
from intelgraph.graph.stix.read import Limits
from intelgraph.graph.stix.rejects import Rejects
from intelgraph.model.errors import IntelGraphError
from tests.cases import cases
from tests.fakes.door import Refusal, Store

POLICY = ImportPolicy(in_flight_max=3, batch=BatchLimits(operations_max=5, bytes_max=100_000))
TENANT = "acme"


class Killed(Exception):
    """The import was stopped."""


class StoreSender:
    """Sends straight into a ``Store``; ``interrupt(n)`` may raise before or after the n-th request."""

    def __init__(self, store: Store, *, interrupt: Callable[[int], str] = lambda turn: "") -> None:
        self.store = store
        self.sent = 0
        self._interrupt = interrupt

    async def send(self, *, key: str, body: bytes) -> Answer:
        self.sent += 1
        fate = self._interrupt(self.sent)
        if fate == "before":
            raise Killed
        await asyncio.sleep(0)
        try:
            outcome = self.store.append(TENANT, key, body)
        except Refusal as refusal:
            return Answer(status=refusal.status, code=refusal.code, reason=refusal.code, facts=refusal.facts)
        if fate == "after":
            raise Killed
        return Answer(status=202 if fate == "unknown" else 200, bookmark=outcome["bookmark"])

    async def forms(self, kind: Kind, ids: list[str]) -> dict[str, Form]:
        held = self.store.of(TENANT, kind)
        return {
            one: Form(revision=held[one]["revision"], thing=read_object(kind, held[one])) for one in ids if one in held
        }

    async def has_entity(self, entity_id: str) -> bool:
        return entity_id in self.store.of(TENANT, "entity")

    async def is_accepted(self, key: str) -> bool:
        return (TENANT, key) in self.store.outcomes


def uuid_of(number: int) -> str:
    return f"31b940d4-6f7f-459a-80ea-{number:012x}"


def url(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "url", "id": f"url--{uuid_of(number)}", "value": f"https://example.org/{number}", **more}


def link(number: int, source: int, target: int, **more: Any) -> dict[str, Any]:
    ends = {"source_ref": f"url--{uuid_of(source)}", "target_ref": f"url--{uuid_of(target)}"}
    head = {"type": "relationship", "id": f"relationship--{uuid_of(number)}", "relationship_type": "related-to"}
    return {**head, "spec_version": "2.1", **ends, **more}


async def take(
    directory: Path, objects: list[dict[str, Any]], sender: StoreSender, policy: ImportPolicy = POLICY
) -> tuple[ImportRun, Rejects]:
    data = orjson.dumps({"type": "bundle", "objects": objects})
    rejects = Rejects()
    with scan(BundleSource(io.BytesIO(data)), Limits(), rejects) as plan:
        heading = Heading(
            tenant=TENANT,
            content_hash=plan.content_hash,
            operations_max=policy.batch.operations_max,
            bytes_max=policy.batch.bytes_max,
            run=random.randbytes(8).hex(),
        )
        journal = ImportJournal(directory / "journal.json", heading, resume=True)
        run = ImportRun(plan=plan, sender=sender, journal=journal, rejects=rejects, policy=policy)
        try:
            await run.run()
        except BaseException:
            journal.close()
            raise
        if run.batches_unconfirmed:
            journal.close()
        else:
            journal.delete()
    return run, rejects


def test_relationships_may_come_before_their_ends(tmp_path: Path) -> None:
    store = Store()
    run, rejects = asyncio.run(take(tmp_path, [link(1, 1, 2), url(2), url(1)], StoreSender(store)))
    assert run.written == {"entity": 2, "relationship": 1}
    assert rejects.total == 0
    assert list(tmp_path.iterdir()) == []


def test_of_several_forms_of_an_id_the_newest_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    new, old = "2021-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
    objects = [url(1, modified=old), url(1, modified=new, x=1), url(1, modified=old), url(1, modified=new, x=2)]
    store = Store()
    _, rejects = asyncio.run(take(tmp_path, objects, StoreSender(store)))
    taken = store.of(TENANT, "entity")[url(1)["id"]]["properties"]["x"]
    assert [(one.position, one.code) for one in rejects.shown] == [
        (0, "older_version"),
        *([(1, "contradiction")] if taken == 2 else []),
        (2, "older_version"),
        *([(3, "contradiction")] if taken == 1 else []),
    ]


def test_an_end_that_is_nowhere_is_named_and_one_in_the_tenant_is_found(tmp_path: Path) -> None:
    store = Store()
    asyncio.run(take(tmp_path, [url(7)], StoreSender(store)))
    run, rejects = asyncio.run(take(tmp_path, [url(1), link(1, 1, 7), link(2, 1, 8)], StoreSender(store)))
    assert run.written == {"entity": 1, "relationship": 1}
    assert [(one.position, one.code, one.id) for one in rejects.shown] == [(2, "dangling", link(2, 1, 8)["id"])]
    assert url(8)["id"] in rejects.shown[0].reason


@pytest.mark.parametrize("stix_type", ["x-forbidden", "x-unexplained"])
def test_what_the_door_refuses_costs_itself_and_what_hangs_on_it(tmp_path: Path, stix_type: str) -> None:
    bad = [{"type": stix_type, "id": f"{stix_type}--{uuid_of(n)}"} for n in range(12)]
    objects = [part for n in range(12) for part in (url(n), bad[n])]
    hanging = {**link(1, 1, 2), "target_ref": bad[3]["id"]}
    run, rejects = asyncio.run(
        take(tmp_path, [*objects, hanging, link(2, 1, 2)], StoreSender(Store()), ImportPolicy(in_flight_max=2))
    )
    assert run.written == {"entity": 12, "relationship": 1}
    assert {one.id for one in rejects.shown} == {*(one["id"] for one in bad), hanging["id"]}
    assert rejects.by_code["dangling"] == 1


def test_an_unconfirmed_batch_is_counted_and_sent_again_by_the_next_run(tmp_path: Path) -> None:
    store = Store()
    objects = [url(n) for n in range(12)]
    run, _ = asyncio.run(take(tmp_path, objects, StoreSender(store, interrupt=lambda turn: "unknown")))
    assert run.batches_unconfirmed == 3
    run, _ = asyncio.run(take(tmp_path, objects, StoreSender(store)))
    assert (run.batches_unconfirmed, run.batches_resumed, run.written["entity"]) == (0, 0, 12)
    assert all(thing["revision"] == 1 for thing in store.of(TENANT, "entity").values())


def test_a_journal_of_writes_that_the_log_does_not_have_is_not_believed(tmp_path: Path) -> None:
    objects = [url(n) for n in range(20)]
    with pytest.raises(Killed):
        asyncio.run(take(tmp_path, objects, StoreSender(Store(), interrupt=lambda turn: "before" * (turn == 4))))
    wiped = Store()
    run, _ = asyncio.run(take(tmp_path, objects, StoreSender(wiped)))
    assert (run.batches_resumed, len(wiped.of(TENANT, "entity"))) == (0, 20)


def test_an_import_that_ended_is_a_new_one_the_next_time(tmp_path: Path) -> None:
    store = Store()
    asyncio.run(take(tmp_path, [url(1)], StoreSender(store)))
    store.of(TENANT, "entity").clear()
    asyncio.run(take(tmp_path, [url(1)], StoreSender(store)))
    assert url(1)["id"] in store.of(TENANT, "entity")


def test_a_refusal_that_no_content_could_change_ends_the_import_as_itself(tmp_path: Path) -> None:
    class Forbidding(StoreSender):
        async def send(self, *, key: str, body: bytes) -> Answer:
            return Answer(status=403, code="role_not_allowed", reason="the write is refused: the role may read only")

    with pytest.raises(IntelGraphError) as refused:
        asyncio.run(take(tmp_path, [url(1)], Forbidding(Store())))
    assert refused.value.denied.code == "role_not_allowed"


@settings(deadline=None, max_examples=cases(60))
@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(["before", "after"])), max_size=5), st.randoms())
def test_killed_anywhere_any_number_of_times_every_object_is_written_once(
    tmp_path_factory: pytest.TempPathFactory, kills: list[tuple[int, str]], chance: random.Random
) -> None:
    directory, store = tmp_path_factory.mktemp("import"), Store()
    objects = [url(n) for n in range(23)] + [link(n, n, (n + 1) % 23) for n in range(23)] + [link(99, 1, 500)]
    chance.shuffle(objects)
    for turn, fate in kills:
        sender = StoreSender(store, interrupt=lambda n, turn=turn, fate=fate: fate if n == turn else "")  # type: ignore[misc]
        try:
            asyncio.run(take(directory, objects, sender))
        except Killed:
            continue
        store.outcomes.clear()
        store.objects.clear()
    run, rejects = asyncio.run(take(directory, objects, StoreSender(store)))
    assert run.written == {"entity": 23, "relationship": 23}
    assert dict(rejects.by_code) == {"dangling": 1}
    for kind in ("entity", "relationship"):
        assert {thing["revision"] for thing in store.of(TENANT, kind).values()} == {1}
