"""Another tenant's ids, words, cursors, bookmarks and documents, in every argument of every field: as if they were not.

The arguments are enumerated from the schema: one that no case covers fails the test. Each document is sent twice, with
what is another tenant's and with what is nobody's; apart from these values the answers are the same, byte for byte, and
nothing of the other tenant is in them. To the same end the database reads as many pages for both.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type

from intelgraph.graph.query.schema import load_schema
from tests.graph.cursors import cursor
from tests.machine import WAIT_S

from .site import EU, US, Client, Site, entity, relationship
from .test_graphql import post

pytestmark = pytest.mark.postgres
ME, OTHER = "acme", "globex"
SENSITIVE = {"ID", "String", "Cursor", "JSONObject"}
NODE = "id type properties sources revision"
ENTITY = f"{NODE} name edges {{ items {{ neighborId }} next }}"
ITEMS = f"items {{ {ENTITY} }} completeness next total {{ count exact }}"
WRITTEN = "{ status objects { kind id revision } }"
RELATE = 'mutation ($v: ID!) { relate(relationships: [{id: %s, type: "t", source: %s, target: %s}]) ' + WRITTEN + " }"
READS: dict[str, tuple[str, str]] = {
    # argument: (what is given, document with $v); several roots of one name have one case each
    "Query.entity.id": ("entity", f"query ($v: ID!) {{ entity(id: $v) {{ {ENTITY} }} }}"),
    "Query.relationship.id": ("relationship", f"query ($v: ID!) {{ relationship(id: $v) {{ {NODE} }} }}"),
    "Query.node.id": ("relationship", f"query ($v: ID!) {{ node(id: $v) {{ {NODE} }} }}"),
    "Query.entities.after": ("cursor ID_ASC", f"query ($v: Cursor) {{ entities(after: $v, first: 1) {{ {ITEMS} }} }}"),
    "Query.neighborhood.of": (
        "entity",
        f"query ($v: ID!) {{ neighborhood(of: [$v], hops: 3) {{ items {{ entity {{ {ENTITY} }} }} completeness }} }}",
    ),
    "Query.neighborhood.types": (
        "type",
        'query ($v: String!) { neighborhood(of: ["MINE"], types: [$v], hops: 3) { items { hops entity { id } } } }',
    ),
    "Query.shortestPaths.from": (
        "entity",
        'query ($v: ID!) { shortestPaths(from: $v, to: "MINE") { items { entities { id } } completeness } }',
    ),
    "Query.shortestPaths.to": (
        "entity",
        'query ($v: ID!) { shortestPaths(from: "MINE", to: $v) { items { entities { id } } completeness } }',
    ),
    "Query.shortestPaths.types": (
        "type",
        'query ($v: String!) { shortestPaths(from: "MINE", to: "MINE", types: [$v]) { items { entities { id } } } }',
    ),
    "Query.history.id": ("entity", "query ($v: ID!) { history(id: $v) { items { object { id name } } completeness } }"),
    "Query.history.after": (
        "cursor history",
        'query ($v: Cursor) { history(id: "MINE", after: $v) { items { object { id name } } } }',
    ),
    "Query.asOf.bookmark": (
        "bookmark",
        f'query ($v: String!) {{ asOf(bookmark: $v) {{ entity(id: "THEIRS") {{ {ENTITY} }} }} }}',
    ),
    "Past.entity.id": ("entity", f'query ($v: ID!) {{ asOf(time: "NOW") {{ entity(id: $v) {{ {ENTITY} }} }} }}'),
    "Past.relationship.id": (
        "relationship",
        f'query ($v: ID!) {{ asOf(time: "NOW") {{ relationship(id: $v) {{ {NODE} }} }} }}',
    ),
    "Past.node.id": ("entity", f'query ($v: ID!) {{ asOf(time: "NOW") {{ node(id: $v) {{ {NODE} }} }} }}'),
    "Past.entities.after": (
        "cursor ID_ASC",
        'query ($v: Cursor) { asOf(time: "NOW") { entities(after: $v, first: 1) { items { id } } } }',
    ),
    "Entity.edges.types": (
        "type",
        'query ($v: String!) { entity(id: "MINE") { edges(types: [$v]) { items { neighborId } completeness } } }',
    ),
    "Entity.edges.after": (
        "cursor edges",
        'query ($v: Cursor) { entity(id: "MINE") { edges(after: $v) { items { neighborId } completeness } } }',
    ),
    "EntityFilter.ids": ("entity", f"query ($v: ID!) {{ entities(filter: {{ids: [$v]}}) {{ {ITEMS} }} }}"),
    "EntityFilter.types": ("type", f"query ($v: String!) {{ entities(filter: {{types: [$v]}}) {{ {ITEMS} }} }}"),
    "EntityFilter.text": ("word", f"query ($v: String) {{ entities(filter: {{text: $v}}) {{ {ITEMS} }} }}"),
    "EntityFilter.properties": (
        "properties",
        f"query ($v: JSONObject) {{ entities(filter: {{properties: $v}}) {{ {ITEMS} }} }}",
    ),
}
WRITES: dict[str, tuple[str, str]] = {
    "Mutation.deleteEntities.ids": ("entity", f"mutation ($v: ID!) {{ deleteEntities(ids: [$v]) {WRITTEN} }}"),
    "Mutation.unrelate.ids": ("relationship", f"mutation ($v: ID!) {{ unrelate(ids: [$v]) {WRITTEN} }}"),
    "RelationshipInput.source": ("entity", RELATE % ('"x"', "$v", '"MINE"')),
    "RelationshipInput.target": ("entity", RELATE % ('"x"', '"MINE"', "$v")),
    # These are mine from then on, beside the other tenant's of the same name, whose data stays as it is.
    "EntityInput.id": (
        "entity",
        f'mutation ($v: ID!) {{ upsertEntities(entities: [{{id: $v, type: "t", name: "n"}}]) {WRITTEN} }}',
    ),
    "RelationshipInput.id": ("relationship", RELATE % ("$v", '"MINE"', '"MINE"')),
    "Mutation.erase.ids": ("erased", f"mutation ($v: ID!) {{ erase(ids: [$v]) {WRITTEN} }}"),
}
DIFFERENT_EACH_TIME = ("x-request-id", "ig-staleness-ms", "date", "ig-bookmark", "content-length")
ELSEWHERE = {
    "Subscription.changes.after": "test_a_subscription_from_another_tenants_bookmark_tells_ones_own_changes_alone",
    "ChangeFilter.kinds": "the names of three kinds",
    "ChangeFilter.types": "test_a_subscription_from_another_tenants_bookmark_tells_ones_own_changes_alone",
    "ChangeFilter.ids": "test_a_subscription_from_another_tenants_bookmark_tells_ones_own_changes_alone",
    **dict.fromkeys(
        [f"{kind}Input.{name}" for kind in ("Entity", "Relationship") for name in ("type", "properties", "sources")],
        "content that is only written",
    ),
    "EntityInput.name": "content that is only written",
}


def sensitive() -> Iterator[str]:
    """Every argument, and every field of an input object, that can carry what is a tenant's."""
    schema = load_schema()
    for type_ in schema.type_map.values():
        if type_.name.startswith("__"):
            continue
        if isinstance(type_, GraphQLInputObjectType):
            given = {f"{type_.name}.{name}": field.type for name, field in type_.fields.items()}
        else:
            given = {
                f"{type_.name}.{name}.{arg}": definition.type
                for name, field in getattr(type_, "fields", {}).items()
                for arg, definition in field.args.items()
            }
        yield from (name for name, kind in given.items() if get_named_type(kind).name in SENSITIVE)


def test_every_argument_that_can_carry_a_tenants_data_has_its_case() -> None:
    assert set(sensitive()) == READS.keys() | WRITES.keys() | ELSEWHERE.keys()


class World:
    """What is the other tenant's, what is nobody's, and what is mine."""

    def __init__(self, site: Site) -> None:
        self.marker = uuid.uuid4().hex
        m = self.marker
        self.theirs: dict[str, Any] = {
            "entity": f"e-{m}", "relationship": f"r-{m}", "type": f"t-{m}", "word": f"w{m}", "erased": f"x-{m}",
            "properties": {"secret": m},
        }  # fmt: skip
        self.mine = f"mine-{uuid.uuid4().hex}"
        made = [
            entity(self.theirs["entity"], type=f"t-{m}", name=f"w{m}", properties={"secret": m}, sources=[f"s{m}"]),
            entity(f"o-{m}", name=f"w{m} other"),
            entity(self.theirs["erased"], name=f"w{m} erased"),
            relationship(self.theirs["entity"], f"o-{m}", self.theirs["relationship"], type=f"t-{m}"),
        ]
        self.theirs["bookmark"] = site.client(US, tenant=OTHER).write(*made).json()["bookmark"]
        for name, place in (("ID_ASC", f"e-{m}"), ("edges", f"e-{m}"), ("history", self.theirs["bookmark"])):
            self.theirs[f"cursor {name}"] = cursor(name, place)
        self.after = site.client(US, tenant=ME).write(entity(self.mine, name="mine")).json()["bookmark"]

    def nobodys(self, kind: str) -> Any:
        """A value of a kind, as long as the other tenant's, that occurs nowhere. Of bookmarks: one of mine."""
        if kind == "bookmark":
            return self.after
        if kind == "cursor history":
            return cursor("history", self.after)
        if kind.startswith("cursor"):
            # The next neighbor in the order: nothing of mine is between them.
            return cursor(kind.removeprefix("cursor "), f"e-{self.marker}!")
        return json.loads(json.dumps(self.theirs[kind]).replace(self.marker, uuid.uuid4().hex))


@pytest.fixture(scope="module")
def world(site: Site) -> World:
    return World(site)


def ask(client: Client, world: World, document: str, value: Any) -> tuple[int, str, dict[str, str]]:
    """Send a document; the value that was given is taken out of what is answered."""
    text = document.replace("MINE", world.mine).replace("THEIRS", world.theirs["entity"])
    text = text.replace('"NOW"', f'"{world_time()}"')
    told = post(client, text, {"v": value}, headers={"ig-bookmark": world.after})
    shown = told.text.replace(value, "VALUE") if isinstance(value, str) else told.text
    headers = {name: value for name, value in told.headers.items() if name not in DIFFERENT_EACH_TIME}
    return told.status_code, shown, headers


def world_time() -> str:
    """A time that has come."""
    return datetime.now(UTC).isoformat()


@pytest.mark.parametrize("region", [US, EU])
@pytest.mark.parametrize("argument", READS)
def test_what_is_anothers_reads_like_what_is_nobodys(site: Site, world: World, argument: str, region: str) -> None:
    kind, document = READS[argument]
    client = site.client(region, tenant=ME)
    theirs = ask(client, world, document, world.theirs[kind])
    nobodys = ask(client, world, document, world.nobodys(kind))
    assert theirs == nobodys
    assert world.marker not in theirs[1]


def everything(site: Site, world: World) -> str:
    """All that the other tenant has of its own."""
    ids = [world.theirs["entity"], f"o-{world.marker}", world.theirs["erased"]]
    query = (
        f"query ($ids: [ID!], $r: ID!) {{ entities(filter: {{ids: $ids}}) {{ {ITEMS} }} "
        f"relationship(id: $r) {{ {NODE} }} }}"
    )
    told = post(site.client(US, tenant=OTHER), query, {"ids": ids, "r": world.theirs["relationship"]})
    assert "errors" not in told.json()
    assert told.text.count(world.marker) > 5
    return str(told.text)


@pytest.mark.parametrize("argument", WRITES)
def test_what_is_anothers_is_written_like_what_is_nobodys_and_stays_as_it_is(site: Site, argument: str) -> None:
    world = World(site)  # of its own: what is written here is mine from then on
    kind, document = WRITES[argument]
    before = everything(site, world)
    client = site.client(EU, tenant=ME, role="admin")
    theirs = ask(client, world, document, world.theirs[kind])
    nobodys = ask(client, world, document, world.nobodys(kind))
    assert theirs == nobodys
    assert world.marker not in theirs[1]
    assert everything(site, world) == before


@pytest.mark.parametrize("name", ["entity", "relationship"])
def test_the_database_looks_at_as_many_pages_for_anothers_id_as_for_nobodys(
    site: Site, world: World, name: str
) -> None:
    """The same timing class, without a clock: what takes time is the same."""

    def pages(id_: str) -> int:
        plan = site.us.sql(
            f"explain (analyze, buffers, format json, timing off, summary off) "
            f"select * from ig.{name} where tenant = '{ME}' and id = '{id_}' and not deleted"
        )
        plan = json.loads(plan) if isinstance(plan, str) else plan
        found: dict[str, int] = plan[0]["Plan"]
        return found["Shared Hit Blocks"] + found["Shared Read Blocks"]

    # Ids that no test of writing made mine.
    theirs = f"o-{world.marker}" if name == "entity" else f"q-{world.marker}"
    pages(theirs)
    assert abs(pages(theirs) - pages(f"o-{uuid.uuid4().hex}")) <= 1


def test_a_document_that_another_tenant_has_persisted_is_not_known(site: Site) -> None:
    text = f"{{ __typename entities(first: 1) {{ items {{ id }} }} }} # {uuid.uuid4()}"
    hashed = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}
    assert "data" in post(site.client(US, tenant=OTHER), text, extensions=hashed).json()
    assert "data" in post(site.client(US, tenant=OTHER), None, extensions=hashed).json()
    told = post(site.client(US, tenant=ME), None, extensions=hashed)
    assert told.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"


def test_a_subscription_from_another_tenants_bookmark_tells_ones_own_changes_alone(site: Site, world: World) -> None:
    query = (
        "subscription ($after: String, $filter: ChangeFilter) "
        "{ changes(after: $after, filter: $filter) { objects { id name } } }"
    )
    mine = f"own-{uuid.uuid4()}"
    variables = {
        "after": world.theirs["bookmark"],
        "filter": {"ids": [mine, world.theirs["entity"]], "types": ["malware", world.theirs["type"]]},
    }
    headers = {
        "authorization": f"Bearer {site.issuer.token(ME, 'analyst')}",
        "accept": "text/event-stream",
    }
    client = site.client(US, tenant=ME)
    body = {"query": query, "variables": variables}
    with client.http.post(client.url + "/graphql", json=body, headers=headers, stream=True, timeout=WAIT_S) as events:
        site.client(US, tenant=OTHER).write(entity(world.theirs["entity"], type=world.theirs["type"], name="again"))
        site.client(US, tenant=ME).write(entity(mine, name="own", type="malware"))
        data = next(line for line in events.iter_lines(chunk_size=1, decode_unicode=True) if line.startswith("data: "))
    assert json.loads(data[6:]) == {"data": {"changes": {"objects": [{"id": mine, "name": "own"}]}}}
