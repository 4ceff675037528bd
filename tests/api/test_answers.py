"""Results and errors stand where their input stood; refusals say what is so, and whatever is the client's is no 5xx."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .site import EU, US, Site, entity, relationship
from .test_graphql import post

pytestmark = pytest.mark.postgres

OBJECTS = "{ objects { kind id revision } }"


def given(id_: str, **fields: Any) -> dict[str, Any]:
    return {"id": id_, "type": "malware", "name": id_, **fields}


def names(count: int) -> list[str]:
    mark = uuid.uuid4().hex
    return [f"a-{mark}-{n}" for n in range(count)]


def test_each_field_lists_what_its_own_operations_made_each_where_it_was_given(site: Site) -> None:
    a, b, c, r, s, t = names(6)
    client = site.client(US)
    client.write(entity(a), entity(b), entity(c), relationship(a, b, r), relationship(b, c, s))
    query = (
        f"mutation ($e: [EntityInput!]!, $r: [RelationshipInput!]!, $d: [ID!]!, $o: [ID!]!) {{ "
        f"made: upsertEntities(entities: $e) {OBJECTS} relate(relationships: $r) {OBJECTS} "
        f"first: deleteEntities(ids: $d) {OBJECTS} second: deleteEntities(ids: $o) {OBJECTS} }}"
    )
    variables = {
        "e": [given(b), given(c), given(b)],
        "r": [{"id": t, "type": "uses", "source": b, "target": c}],
        "d": [a],
        "o": [c],
    }
    key = {"idempotency-key": str(uuid.uuid4())}
    told = post(client, query, variables, headers=key).json()["data"]
    assert [(one["kind"], one["id"]) for one in told["made"]["objects"]] == [
        ("entity", b),
        ("entity", c),
        ("entity", b),
    ]
    assert told["made"]["objects"][0] == told["made"]["objects"][2]
    assert [one["id"] for one in told["relate"]["objects"]] == [t]
    assert [(one["kind"], one["id"]) for one in told["first"]["objects"]] == [("entity", a), ("relationship", r)]
    assert told["second"]["objects"][0]["id"] == c
    assert sorted(one["id"] for one in told["second"]["objects"][1:]) == sorted([s, t])
    # A repeat, in another region, is told the same.
    again = post(site.client(EU), query, variables, headers=key).json()["data"]
    assert again == told


def test_an_error_stands_at_the_field_whose_operation_failed_with_its_place_in_that_fields_list(site: Site) -> None:
    a, b = names(2)
    client = site.client(US)
    client.write(entity(a))
    query = (
        "mutation ($e: [EntityInput!]!, $u: [ID!]!) { "
        "one: upsertEntities(entities: $e) { status } two: unrelate(ids: $u) { status } }"
    )
    (error,) = post(client, query, {"e": [given(b), given(a)], "u": ["none"]}).json()["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["two"], "not_found")
    assert error["extensions"]["facts"] == {"index": 0, "id": "none", "argument": "ids[0]"}
    assert error["message"] == "ids[0] is refused: there is no relationship none"

    (error,) = post(client, query, {"e": [given(b), given(a, type="tool")], "u": ["none"]}).json()["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["one"], "type_changed")
    assert error["extensions"]["facts"]["index"] == 1
    assert error["message"].startswith("entities[1] is refused: ")

    wrong = given(b, confidence=101, validFrom="2020-01-01T00:00:00Z")
    (error,) = post(client, query, {"e": [given(a), wrong], "u": ["none"]}).json()["errors"]
    assert (error["path"], error["extensions"]["facts"]["index"]) == (["one"], 1)
    assert error["message"] == "entities[1].confidence is refused: it must be at most 100"

    (error,) = post(client, query, {"e": [given(b, ifRevision=3)], "u": ["none"]}).json()["errors"]
    assert error["message"].startswith("entities[0] is refused: entity ")
    assert error["message"].endswith("; ifRevision says 3")


def test_an_empty_mutation_and_a_refusal_of_the_whole_request_are_no_fields(site: Site) -> None:
    query = (
        "mutation ($e: [EntityInput!]!, $i: [ID!]!) "
        "{ upsertEntities(entities: $e) { status } unrelate(ids: $i) { status } }"
    )
    (error,) = post(site.client(US), query, {"e": [], "i": []}).json()["errors"]
    assert "path" not in error
    assert error["message"] == "the mutation is refused: the lists of its fields are empty"


def test_erasing_needs_the_role_admin_in_every_way(site: Site) -> None:
    (a,) = names(1)
    site.client(US).write(entity(a))
    query = f"mutation ($i: [ID!]!) {{ erase(ids: $i) {OBJECTS} }}"
    for region in (US, EU):
        for role in ("analyst", "writer"):
            client = site.client(region, role=role)
            answer = client.write({"op": "erase", "ids": [a]})
            assert (answer.status_code, answer.json()["code"]) == (403, "role_not_allowed")
            answer = post(client, query, {"i": [a]})
            assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (403, "role_not_allowed")
    assert site.client(US).entity(a).status_code == 200
    assert (
        post(site.client(EU, role="admin"), query, {"i": [a, a]}).json()["data"]["erase"]["objects"]
        == [{"kind": "erased", "id": a, "revision": None}] * 2
    )


def test_what_was_never_there_is_said_and_its_id_stays_free(site: Site) -> None:
    a, never, gone = names(3)
    client = site.client(US, role="admin")
    client.write(entity(a), entity(gone))
    client.write({"op": "delete_entity", "id": gone})
    problem = client.write({"op": "erase", "ids": [a, never]})
    assert (problem.status_code, problem.json()["code"]) == (404, "not_found")
    assert problem.json()["facts"] == {"index": 0, "part": 1, "id": never, "argument": "operations[0].ids[1]"}
    assert client.entity(a).status_code == 200
    (error,) = post(client, "mutation ($i: [ID!]!) { erase(ids: $i) { status } }", {"i": [a, never]}).json()["errors"]
    assert error["message"] == f"ids[1] is refused: there is nothing with the id {never}, and never was"
    assert (error["path"], error["extensions"]["facts"]["index"]) == (["erase"], 1)
    assert client.write(entity(never)).status_code == 200
    # What was deleted, and what was erased already, was there.
    assert client.write({"op": "erase", "ids": [a, gone]}).status_code == 200
    assert client.write({"op": "erase", "ids": [a]}).status_code == 200


def test_an_endpoint_that_is_none_is_told_for_what_it_is(site: Site) -> None:
    a, b, gone, erased, r, never, new = names(7)
    client = site.client(US, role="admin")
    client.write(entity(a), entity(b), entity(gone), entity(erased), relationship(a, b, r))
    client.write({"op": "delete_entity", "id": gone})
    client.write({"op": "erase", "ids": [erased]})
    for source, target, why, said in (
        (a, gone, "deleted", "an entity that was deleted"),
        (erased, b, "erased", "which was erased, for ever"),
        (r, b, "relationship", "which is itself a relationship"),
        (a, never, "absent", "which does not exist"),
    ):
        problem = client.write(relationship(source, target, new)).json()
        assert problem["code"] == "dangling"
        end = "target" if source == a else "source"
        assert (problem["facts"]["why"], problem["facts"]["end"]) == (why, end)
        assert said in problem["reason"]
        assert problem["reason"].startswith(f"operations[0] is refused: the {end} of relationship {new} is ")


def test_a_loop_is_out_whichever_direction_is_asked_for(site: Site) -> None:
    a, r = names(2)
    bookmark = site.client(US).write(entity(a), relationship(a, a, r)).json()["bookmark"]
    query = (
        "query ($id: ID!, $d: Direction!) { entity(id: $id) { edges(direction: $d) "
        "{ items { direction neighborId } completeness } } }"
    )
    for direction in ("OUT", "IN", "ANY"):
        told = post(site.client(US), query, {"id": a, "d": direction}, headers={"ig-bookmark": bookmark}).json()
        assert told["data"]["entity"]["edges"]["items"] == [{"direction": "OUT", "neighborId": a}], direction


@pytest.mark.parametrize("order", ["ID_ASC", "ID_DESC", "UPDATED_ASC", "UPDATED_DESC"])
def test_the_next_of_a_page_is_taken_by_the_same_list_in_the_same_order_alone(site: Site, order: str) -> None:
    ids = names(5)
    bookmark = site.client(US).write(*(entity(id_) for id_ in ids)).json()["bookmark"]
    query = (
        "query ($ids: [ID!], $o: EntityOrder!, $after: Cursor) { entities(filter: {ids: $ids}, orderBy: $o, first: 2, "
        "after: $after) { items { id } next completeness } }"
    )
    seen: list[str] = []
    page: dict[str, Any] = {"next": None, "completeness": "MORE"}
    cursors = []
    while page["completeness"] == "MORE":
        variables = {"ids": ids, "o": order, "after": page["next"]}
        page = post(site.client(EU), query, variables, headers={"ig-bookmark": bookmark}).json()["data"]["entities"]
        seen += [item["id"] for item in page["items"]]
        cursors.append(page["next"])
    assert seen == (ids if order.endswith("ASC") else ids[::-1])
    other = "ID_ASC" if order != "ID_ASC" else "ID_DESC"
    for wrong, in_order in ((cursors[0][:-1], order), (cursors[0] + "x", order), (cursors[0], other), (ids[1], order)):
        (error,) = post(site.client(US), query, {"ids": ids, "o": in_order, "after": wrong}).json()["errors"]
        assert (error["extensions"]["code"], error["path"]) == ("bad_argument", ["entities"])


FOREIGN = (
    "us-west/1/1/1",  # a region that never was
    "eu-west/1/1/1",  # another region opened the placement's epoch
    "us-east/7/1/1",  # a life that the region never had
    "us-east/1/1/999999999",  # a position that was never drawn
    "us-east/28000000/1/1",  # of a fleet that was wiped
)


@pytest.mark.parametrize("bookmark", FOREIGN)
def test_a_bookmark_that_no_write_here_can_have_is_the_clients_mistake_in_every_place(
    site: Site, bookmark: str
) -> None:
    client = site.client(US)
    seen = {"ig-bookmark": bookmark}
    for answer in (
        client.entity("e", bookmark),
        client.get("/v1/entities", seen),
        client.get(f"/v1/changes?after={bookmark}"),
        client.get("/v1/changes", seen),
        client.get("/v1/outcomes/key", seen),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_bookmark"), answer.text
        assert "another graph" in answer.json()["reason"]
    told = post(client, "{ entities { items { id } } }", headers=seen)
    assert (told.status_code, told.json()["errors"][0]["extensions"]["code"]) == (400, "bad_bookmark")
    told = post(client, "query ($b: String!) { was: asOf(bookmark: $b) { bookmark } }", {"b": bookmark})
    (error,) = told.json()["errors"]
    assert (told.status_code, error["extensions"]["code"], error["path"]) == (200, "bad_bookmark", ["was"])
    if not bookmark.startswith("us-east/1/"):  # what another region will yet draw cannot be known
        answer = site.client(EU).entity("e", bookmark)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_bookmark")


def test_a_clients_clock_may_be_ahead_and_a_time_that_has_not_come_is_refused_at_its_field(site: Site) -> None:
    client = site.client(US)
    bookmark = client.write(entity()).json()["bookmark"]
    query = "query ($t: DateTime!) { then: asOf(time: $t) { bookmark } }"

    def at(**ahead: float) -> Any:
        time = (datetime.now(UTC) + timedelta(**ahead)).isoformat()
        return post(client, query, {"t": time}, headers={"ig-bookmark": bookmark})

    for seconds in (1, 30):
        told = at(seconds=seconds)
        assert (told.status_code, "errors" in told.json()) == (200, False), told.text
    told = at(hours=1)
    (error,) = told.json()["errors"]
    assert (told.status_code, told.json()["data"], error["path"]) == (200, None, ["then"])
    assert error["extensions"]["code"] == "bad_argument"
    assert "has not come yet" in error["message"]


def test_the_answer_that_there_is_none_says_how_old_it_is_too(site: Site) -> None:
    (never,) = names(1)
    for region in (US, EU):
        missing = site.client(region).entity(never)
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        assert missing.headers["ig-staleness-ms"].isdigit()
