"""What is newer stays, what is equal is not written, and the order of a file decides nothing."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intelgraph.graph.imports.answer import Answer
from intelgraph.graph.imports.plan import BatchLimits, scan
from intelgraph.graph.imports.run import ImportPolicy
from intelgraph.graph.stix.bundle_source import BundleSource
from intelgraph.graph.stix.mapping import from_stix
from intelgraph.graph.stix.read import Limits
from intelgraph.graph.stix.rejects import Rejects
from intelgraph.graph.stix.versions import Verdict, judge, ordered_time, version_of
from tests.cases import cases
from tests.fakes.door import Store

from .test_import_run import TENANT, StoreSender, link, take, url, uuid_of

DAY_1, DAY_2 = "2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"


def malware(number: int = 1, modified: str = DAY_1, **more: Any) -> dict[str, Any]:
    head = {"type": "malware", "spec_version": "2.1", "id": f"malware--{uuid_of(number)}", "name": "Ivy"}
    return {**head, "created": DAY_1, "modified": modified, **more}


def bring(directory: Path, store: Store, *objects: dict[str, Any], replace: bool = False) -> tuple[Any, Rejects]:
    policy = ImportPolicy(in_flight_max=2, batch=BatchLimits(operations_max=5), replace=replace)
    return asyncio.run(take(directory, list(objects), StoreSender(store), policy))


def held(store: Store, number: int = 1) -> dict[str, Any]:
    return store.of(TENANT, "entity")[malware(number)["id"]]


def test_an_older_form_does_not_take_back_what_is_newer(tmp_path: Path) -> None:
    store = Store()
    bring(tmp_path, store, malware(modified=DAY_2, revoked=True))
    run, rejects = bring(tmp_path, store, malware(modified=DAY_1), malware(2))
    assert (run.written["entity"], dict(rejects.by_code)) == (1, {"older_version": 1})
    assert (held(store)["properties"], held(store)["revision"]) == ({"revoked": True}, 1)
    assert "--replace" in rejects.shown[0].reason
    run, rejects = bring(tmp_path, store, malware(modified=DAY_1), replace=True)
    assert (run.written["entity"], rejects.total, held(store).get("properties", {})) == (1, 0, {})


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    store = Store()
    objects = [malware(n) for n in range(7)] + [url(1), url(2), link(1, 1, 2)]
    bring(tmp_path, store, *objects)
    before = store.position
    for replace in (False, True):
        run, rejects = bring(tmp_path, store, *objects, replace=replace)
        assert (run.unchanged, run.written) == (
            {"entity": 9, "relationship": 1},
            {"entity": 0, "relationship": 0},
        )
        assert (rejects.total, store.position) == (0, before)


def test_only_what_is_new_or_newer_is_written(tmp_path: Path) -> None:
    store = Store()
    bring(tmp_path, store, *(malware(n) for n in range(4)))
    run, _ = bring(tmp_path, store, malware(0), malware(1, DAY_2, x=1), malware(2), malware(3), malware(4))
    assert (run.written["entity"], run.unchanged["entity"]) == (2, 3)
    assert [held(store, n)["revision"] for n in range(5)] == [1, 2, 1, 1, 1]


def test_times_are_compared_to_the_last_digit_that_was_written(tmp_path: Path) -> None:
    store = Store()
    early, late = "2026-01-01T00:00:00.1234561Z", "2026-01-01T00:00:00.1234562Z"
    bring(tmp_path, store, malware(modified=late, x="late"))
    _, rejects = bring(tmp_path, store, malware(modified=early, x="early"))
    assert dict(rejects.by_code) == {"older_version": 1}
    assert early[:-1] in rejects.shown[0].reason
    run, _ = bring(tmp_path, store, malware(modified="2026-01-01T00:00:00.12345621Z", x="later"))
    assert run.written["entity"] == 1
    _, rejects = bring(tmp_path, Store(), malware(modified=early, x="early"), malware(modified=late, x="late"))
    assert [(one.position, one.code) for one in rejects.shown] == [(0, "older_version")]


def test_a_contradiction_of_what_the_tenant_has_is_named_and_not_written(tmp_path: Path) -> None:
    store = Store()
    bring(tmp_path, store, malware(x=1))
    run, rejects = bring(tmp_path, store, malware(x=2))
    assert (run.written["entity"], dict(rejects.by_code), held(store)["revision"]) == (0, {"contradiction": 1}, 1)
    run, _ = bring(tmp_path, store, malware(x=2), replace=True)
    assert (run.written["entity"], held(store)["properties"]) == (1, {"x": 2})


def test_an_observable_has_no_versions_and_is_written_when_it_differs(tmp_path: Path) -> None:
    store = Store()
    bring(tmp_path, store, url(1))
    run, rejects = bring(tmp_path, store, url(1, x=1))
    assert (run.written["entity"], rejects.total) == (1, 0)


def test_what_somebody_else_writes_meanwhile_is_not_passed_over(tmp_path: Path) -> None:
    store = Store()

    class Racing(StoreSender):
        async def forms(self, kind: Any, ids: list[str]) -> Any:
            found = await super().forms(kind, ids)
            if self.sent == 1:
                for thing in self.store.of(TENANT, "entity").values():
                    thing |= {"revision": thing["revision"] + 1, "updated": "2027-01-01T00:00:00.000000Z"}
            return found

    bring(tmp_path, store, malware(modified=DAY_1))
    _, rejects = asyncio.run(take(tmp_path, [malware(modified=DAY_2)], Racing(store)))
    assert dict(rejects.by_code) == {"older_version": 1}


def test_an_object_that_is_never_as_it_was_read_is_named_in_bounded_time(tmp_path: Path) -> None:
    class Refusing(StoreSender):
        async def send(self, *, key: str, body: bytes) -> Answer:
            self.sent += 1
            if b"malware" in body:
                facts = {"index": orjson.loads(body)["operations"].index(next(self._bad(body)))}
                return Answer(status=409, code="revision_mismatch", facts=facts)
            return await super().send(key=key, body=body)

        def _bad(self, body: bytes) -> Any:
            return (each for each in orjson.loads(body)["operations"] if each["entity"]["type"] == "malware")

    run, rejects = asyncio.run(take(tmp_path, [url(1), malware(), url(2)], Refusing(Store())))
    assert (run.written["entity"], dict(rejects.by_code)) == (2, {"revision_mismatch": 1})


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (malware(), malware(), Verdict.UNCHANGED),
        (malware(modified="2026-01-01T00:00:00Z"), malware(), Verdict.UNCHANGED),
        (malware(confidence=5), malware(confidence=5.0), Verdict.UNCHANGED),
        (malware(x=True), malware(x=1), Verdict.CONTRADICTION),
        (malware(x=1), malware(x=1.0), Verdict.UNCHANGED),
        (malware(modified=DAY_2), malware(), Verdict.WRITE),
        (malware(), malware(modified=DAY_2), Verdict.OLDER),
        (url(1, x=1), url(1), Verdict.WRITE),
    ],
)
def test_each_pair_of_forms_has_one_verdict(ours: dict[str, Any], theirs: dict[str, Any], verdict: Verdict) -> None:
    assert judge(version_of(from_stix(ours)), version_of(from_stix(theirs)), replace=False) is verdict


def test_a_form_without_modified_has_the_time_of_its_creation_as_it_was_written() -> None:
    fine = {**malware(created="2026-01-01T00:00:00.0000009Z")}
    without = {name: value for name, value in fine.items() if name != "modified"}
    assert version_of(from_stix(without)).modified == ordered_time(fine["created"])
    assert version_of(from_stix(fine)).modified == ordered_time(DAY_1)


FINE = "2026-01-01T00:00:00.1234567Z"
UNKNOWN = {"type": "malware", "spec_version": "2.1", "id": f"malware--{uuid_of(1)}"}
EDGE = {
    "type": "relationship",
    "spec_version": "2.1",
    "id": f"relationship--{uuid_of(1)}",
    "relationship_type": "uses",
    "source_ref": malware(1)["id"],
    "target_ref": malware(2)["id"],
}


@pytest.mark.parametrize("zeros", ["0", "00", "000000000"])
def test_zeros_behind_a_fine_time_change_nothing(zeros: str) -> None:
    longer = FINE.replace("Z", zeros + "Z")
    assert ordered_time(longer) == ordered_time(FINE)
    assert ordered_time(DAY_1.replace("Z", "000" + zeros + "Z")) == ordered_time(DAY_1)
    for name in ("created", "modified", "valid_from"):
        ours, theirs = (version_of(from_stix({**malware(), name: time})) for time in (longer, FINE))
        assert judge(ours, theirs, replace=False) is Verdict.UNCHANGED, name
    assert (
        version_of(from_stix(malware(modified=longer))).modified
        < version_of(from_stix(malware(modified=FINE.replace("Z", zeros + "1Z")))).modified
    )


@pytest.mark.parametrize("replace", [False, True])
def test_what_differs_in_its_time_alone_is_not_unchanged(replace: bool) -> None:
    made = "2026-01-01T00:00:00.0000009Z"
    without = {name: value for name, value in malware(created=made).items() if name != "modified"}
    early, late = version_of(from_stix(malware(created=made))), version_of(from_stix(without))
    assert (early.content, early.modified < late.modified) == (late.content, True)
    assert judge(late, early, replace=replace) is Verdict.WRITE
    assert judge(early, late, replace=replace) is (Verdict.WRITE if replace else Verdict.OLDER)


def test_what_marks_a_property_as_absent_is_no_content() -> None:
    marked = from_stix(UNKNOWN)
    for name in ("name", "spec_version", "created", "modified", "valid_from"):
        with_null = msgspec.structs.replace(marked, properties={**marked.properties, name: None})
        without = {other: value for other, value in marked.properties.items() if other != name}
        assert version_of(with_null) == version_of(msgspec.structs.replace(marked, properties=without)), name
    other = msgspec.structs.replace(marked, properties={**marked.properties, "x": None})
    assert version_of(other) != version_of(marked)


def test_a_relationships_validity_is_compared_by_the_names_that_relationships_have() -> None:
    start, stop = "start_time", "stop_time"
    plain = {start: "2026-01-01T00:00:00Z", stop: "2026-01-02T00:00:00Z"}
    spelled = {start: "2026-01-01T00:00:00.0000000Z", stop: "2026-01-02T00:00:00.000Z"}
    fine = {**plain, start: FINE}
    same, also, other = (version_of(from_stix({**EDGE, **times})) for times in (plain, spelled, fine))
    assert judge(same, also, replace=False) is Verdict.UNCHANGED
    assert other.content != same.content
    for name in ("valid_from", "valid_until"):
        own = {**EDGE, **plain, name: plain[start if name == "valid_from" else stop]}
        assert version_of(from_stix(own)).content != same.content, f"{name} is a property of its own"


FORMS = st.lists(
    st.builds(
        lambda number, modified, more: malware(number, modified, **more),
        st.integers(1, 3),
        st.sampled_from([DAY_1, DAY_2, "2026-01-02T00:00:00Z", "2026-01-02T00:00:00.0000001Z"]),
        st.sampled_from([{}, {"x": 1}, {"x": 1.0}, {"x": 2}, {"revoked": True}]),
    ),
    min_size=2,
    max_size=8,
)


@settings(deadline=None, max_examples=cases(150), suppress_health_check=[HealthCheck.too_slow])
@given(FORMS.flatmap(lambda forms: st.tuples(st.just(forms), st.permutations(forms))))
def test_the_order_in_a_file_decides_nothing(both: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> None:
    def outcome(forms: list[dict[str, Any]]) -> tuple[list[bytes], dict[str, int]]:
        rejects = Rejects()
        source = BundleSource(io.BytesIO(orjson.dumps({"type": "bundle", "objects": forms})))
        with scan(source, Limits(), rejects) as plan:
            taken = sorted(one for batch in plan.batches("entity", BatchLimits()) for one in batch.operations)
        assert len(taken) + rejects.total == len(forms)
        return taken, dict(rejects.by_code)

    assert outcome(both[0]) == outcome(both[1])


def test_equal_content_is_a_duplicate_and_other_content_a_contradiction(tmp_path: Path) -> None:
    forms = [malware(x=1), malware(x=1), malware(modified=DAY_2, x=2), malware(modified="2026-01-02T00:00:00Z", x=2)]
    _, rejects = bring(tmp_path, Store(), *forms, malware(modified=DAY_2, x=3))
    assert rejects.by_code["older_version"] == 2
    assert rejects.by_code["contradiction"] + rejects.by_code["duplicate"] == 2
    assert rejects.by_code["contradiction"] >= 1
    _, rejects = bring(tmp_path, Store(), *forms)
    assert dict(rejects.by_code) == {"older_version": 2, "duplicate": 1}


def test_why_an_end_is_none_is_said(tmp_path: Path) -> None:
    store = Store()
    bring(tmp_path, store, url(1), url(2), link(1, 1, 2))
    to_a_relationship = {**link(2, 1, 2), "target_ref": link(1, 1, 2)["id"]}
    to_one_of_the_file = {**link(3, 1, 2), "target_ref": to_a_relationship["id"]}
    to_nothing = {**link(4, 1, 2), "target_ref": url(77)["id"]}
    _, rejects = bring(tmp_path, store, to_a_relationship, to_one_of_the_file, to_nothing)
    reasons = {one.id: one.reason for one in rejects.shown}
    assert dict(rejects.by_code) == {"dangling": 3}
    for one in (to_a_relationship, to_one_of_the_file):
        assert "it is a relationship, which cannot be an end" in reasons[one["id"]]
    assert "never had it or it was deleted" in reasons[to_nothing["id"]]
