"""What generated histories write: operations over few names, so that they meet, and lists of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

IDS = ("a", "b", "c")
LINKS = ("r", "s")
TIME = "2024-05-06T07:08:09.123456Z"

ids = st.sampled_from(IDS)
links = st.sampled_from(LINKS)
revisions = st.sampled_from((None, None, None, None, 0, 1, 2))


def entity(id_: str, name: str, type_: str, whole: bool, revision: int | None) -> dict[str, Any]:
    wanted: dict[str, Any] = {"id": id_, "type": type_, "name": name}
    if whole:
        wanted |= {
            "properties": {"n": [1, {"deep": None}]},
            "confidence": 70,
            "valid_from": TIME,
            "sources": ["x", "y"],
        }
        wanted |= {"created": TIME, "updated": TIME}
    return _conditional({"op": "upsert_entity", "entity": wanted}, revision)


def link(id_: str, source: str, target: str, revision: int | None) -> dict[str, Any]:
    wanted = {"id": id_, "type": "uses", "source": source, "target": target}
    return _conditional({"op": "upsert_relationship", "relationship": wanted}, revision)


def _conditional(operation: dict[str, Any], revision: int | None) -> dict[str, Any]:
    return operation if revision is None else {**operation, "if_revision": revision}


plain = st.builds(entity, ids, st.sampled_from(("n", "m")), st.just("t"), st.booleans(), st.none())
linked = st.builds(link, links, ids, ids, st.none())
deleted = st.builds(lambda id_: {"op": "delete_entity", "id": id_}, ids)
unlinked = st.builds(lambda id_: {"op": "delete_relationship", "id": id_}, links)
erased = st.builds(lambda chosen: {"op": "erase", "ids": chosen}, st.sampled_from((["c"], ["s"], ["c", "s"], ["z"])))
conditional = st.one_of(
    st.builds(entity, ids, st.just("n"), st.sampled_from(("t", "u")), st.just(False), revisions),
    st.builds(link, links, ids, ids, revisions),
)
wrong = st.sampled_from(
    ({"op": "bad"}, {"op": "delete_entity", "id": ""}, {"op": "upsert_entity", "entity": {"id": "y"}})
)
operations = st.one_of(plain, plain, plain, plain, linked, linked, deleted, unlinked, erased, conditional)
batches = st.one_of(st.lists(plain, min_size=1, max_size=2), st.lists(operations, min_size=1, max_size=3))
deletions = st.lists(st.one_of(deleted, deleted, unlinked), min_size=1, max_size=2)
