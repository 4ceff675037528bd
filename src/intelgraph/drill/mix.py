"""Which operation comes next, what is sent for it, and what its answer means. No network and no clock; seeded.

The objects of a run have ids of their own, so that runs do not meet. How the data types are made of entities:

- a *set* is one entity for each element;
- a *register* is an entity whose property ``value`` is overwritten blindly, every value once;
- a *list* is an entity whose property ``elements`` is rewritten whole, with ``if_revision``: an append that lost a race
  is refused with ``revision_mismatch`` and has certainly not happened. Some appends touch two lists in one request;
- a *bank* is a number of entities with a property ``balance``; a transfer rewrites two of them with ``if_revision``;
- a *graph* is made of nodes and edges that are deleted again (``nodes``).

So that most of these writes succeed, what is known of lists and accounts is shared by all clients and an object is
written by one at a time, except for a share of ``contention`` that races on purpose.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from intelgraph.drill.asking import Answer, Request
from intelgraph.drill.history import Kind, Outcome, Step
from intelgraph.drill.nodes import READ_GRAPH, Nodes
from intelgraph.drill.nodes import seen as nodes_seen
from intelgraph.model.bookmark import Bookmark

WEIGHTS: Mapping[Kind, float] = {
    Kind.INSERT: 4.0,
    Kind.PUT: 2.0,
    Kind.GET: 4.0,
    Kind.APPEND: 2.0,
    Kind.LISTS: 2.0,
    Kind.TRANSFER: 1.0,
    Kind.ACCOUNTS: 1.0,
    Kind.RELATE: 2.0,
    Kind.DELETE: 1.0,
    Kind.GRAPH: 2.0,
    Kind.PAGES: 0.2,
}
_TYPE = "drill"
_BALANCE = 1_000
_READ_MANY = "query($ids:[ID!]!,$first:Int!){entities(filter:{ids:$ids},first:$first){items{id revision properties}}}"

_READ_PAGE = (
    "query($types:[String!]!,$first:Int!,$after:Cursor)"
    "{entities(filter:{types:$types},first:$first,after:$after){items{id}next}}"
)


@dataclass(frozen=True, kw_only=True)
class MixSettings:
    """What a run is made of. ``weights`` are relative; shares are from 0 to 1."""

    weights: Mapping[Kind, float] = field(default_factory=lambda: WEIGHTS)
    registers: int = 8
    lists: int = 6
    elements_max: int = 48
    accounts: int = 6
    two_lists_share: float = 0.5
    contention: float = 0.05
    dangling_share: float = 0.2
    """Of the edges, how many are to go to a node that is being deleted."""
    page: int = 100
    carry_share: float = 0.7
    elsewhere_share: float = 0.1
    """Of the reads, how many go to another region's door than the client's own."""


@dataclass(kw_only=True)
class Session:
    """One client: its name, the door it prefers, and what it was told last of each kind of object."""

    name: str
    door: str
    last: dict[Kind, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    """By the kind of the read that can see it: the objects and the bookmark."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """An operation that is about to be invoked."""

    kind: Kind
    steps: tuple[Step, ...]
    request: Request
    elsewhere: bool = False
    refreshes: bool = False


@dataclass(kw_only=True)
class _Object:
    """What is known of a list or an account; not ``known`` when somebody else may have written it."""

    id: str
    elements: tuple[int, ...] = ()
    balance: int = 0
    revision: int = 0
    known: bool = True
    busy: bool = False


class Mix:
    """The operations of one tenant's run."""

    def __init__(self, settings: MixSettings, *, run: str, seed: int) -> None:
        self.settings = settings
        self._run = run
        self._chance = random.Random(seed)  # noqa: S311
        self._number = 0
        self._lists_made = 0
        self._lists = [self._new_list() for _ in range(settings.lists)]
        self._accounts = [_Object(id=f"{run}-a{place}", known=False) for place in range(settings.accounts)]
        self._all_lists = [each.id for each in self._lists]
        self._nodes = Nodes(run=run, chance=self._chance, race_share=settings.dangling_share)
        self.latest: str | None = None
        """The highest bookmark that anybody was told."""

    @property
    def prefix(self) -> str:
        """What the ids of the set's elements begin with."""
        return f"{self._run}-s"

    @property
    def _set_type(self) -> str:
        return f"drill-{self._run}"

    @property
    def objects(self) -> dict[Kind, list[str]]:
        """Every object but those of the set, by the kind of the read that sees it."""
        registers = [f"{self._run}-r{place}" for place in range(self.settings.registers)]
        return {
            Kind.GET: registers,
            Kind.LISTS: list(self._all_lists),
            Kind.ACCOUNTS: [each.id for each in self._accounts],
            Kind.GRAPH: list(self._nodes.every),
        }

    def deposit(self) -> Planned:
        """The first operation: the bank's accounts are opened."""
        steps = tuple(Step(object=each.id, value=_BALANCE, revision=1) for each in self._accounts)
        return self._write(Kind.DEPOSIT, steps, [({"balance": _BALANCE}, 0) for _ in steps])

    def next(self, session: Session) -> Planned:
        """Choose an operation for a client."""
        weights = self.settings.weights
        kind = self._chance.choices(list(weights), list(weights.values()))[0]
        if kind is Kind.INSERT:
            step = Step(object=f"{self.prefix}{self._count():07d}", revision=1)
            return self._write(kind, (step,), [({}, 0)], type_=self._set_type)
        if kind in (Kind.RELATE, Kind.DELETE) or (kind is Kind.GRAPH and not self._nodes.every):
            return self._change(kind)
        if kind is Kind.PAGES:
            return self.page(None, carried=self._carried(session))
        if kind is Kind.PUT:
            value = self._count()
            step = Step(object=self._chance.choice(self.objects[Kind.GET]), value=value)
            return self._write(kind, (step,), [({"value": value}, None)])
        if kind is Kind.APPEND:
            return self._append() or self.read(Kind.LISTS, self._active(), self.latest, refreshes=True)
        if kind is Kind.TRANSFER:
            return self._transfer() or self.read(
                Kind.ACCOUNTS, self.objects[Kind.ACCOUNTS], self.latest, refreshes=True
            )
        return self._some_read(kind, session)

    def read(self, kind: Kind, objects: list[str], carried: str | None, *, refreshes: bool = False) -> Planned:
        """A read of some objects: one register by its own address, anything else in one GraphQL statement."""
        elsewhere = not refreshes and self._chance.random() < self.settings.elsewhere_share
        if kind is Kind.GET:
            request = Request(method="GET", path=f"/v1/entities/{objects[0]}", carried=carried)
        else:
            query = READ_GRAPH if kind is Kind.GRAPH else _READ_MANY
            body = {"query": query, "variables": {"ids": objects, "first": len(objects)}}
            request = Request(method="POST", path="/graphql", body=msgspec.json.encode(body), carried=carried)
        steps = tuple(Step(object=name) for name in objects)
        return Planned(kind=kind, steps=steps, request=request, elsewhere=elsewhere, refreshes=refreshes)

    def page(self, after: str | None, *, carried: str | None, by_statement: bool | None = None) -> Planned:
        """A page of the set, behind a cursor or an id: by a GraphQL statement, or by ``/v1/entities``."""
        by_statement = self._chance.random() < 0.5 if by_statement is None else by_statement
        if by_statement:
            variables = {"types": [self._set_type], "first": self.settings.page, "after": after}
            body = msgspec.json.encode({"query": _READ_PAGE, "variables": variables})
            request = Request(method="POST", path="/graphql", body=body, carried=carried)
        else:
            path = f"/v1/entities?after={after or self.prefix}&limit={self.settings.page}"
            request = Request(method="GET", path=path, carried=carried)
        return Planned(kind=Kind.PAGES, steps=(), request=request)

    def paged(self, planned: Planned, answer: Answer) -> tuple[list[str], str | None]:
        """The elements of a page, and what the next one is behind; nothing when this was the last."""
        if planned.request.body:
            found = answer.body["data"]["entities"]
            return [each["id"] for each in found["items"]], found["next"]
        names = [each["id"] for each in answer.body["objects"]]
        mine = [name for name in names if name.startswith(self.prefix)]
        return mine, answer.body["next"] if len(mine) == len(names) else None

    def seen(self, planned: Planned, answer: Answer, outcome: Outcome) -> tuple[Step, ...]:
        """The steps with what the answer says of them."""
        if outcome is not Outcome.OK:
            return planned.steps
        if planned.kind in (Kind.RELATE, Kind.DELETE, Kind.PAGES):
            return planned.steps
        if planned.kind is Kind.GRAPH:
            return nodes_seen(planned.steps, answer.body["data"]["entities"]["items"])
        if planned.request.key is not None:
            revisions = {each["id"]: each.get("revision") for each in answer.body["objects"]}
            return tuple(
                msgspec.structs.replace(step, revision=revisions.get(step.object, step.revision))
                for step in planned.steps
            )
        if planned.kind is Kind.GET:
            found = {} if answer.status == 404 else {planned.steps[0].object: answer.body}
        else:
            found = {each["id"]: each for each in answer.body["data"]["entities"]["items"]}
        return tuple(_read_step(planned.kind, step.object, found.get(step.object)) for step in planned.steps)

    def learn(self, session: Session, planned: Planned, answer: Answer, steps: tuple[Step, ...]) -> None:
        """Take in how an operation ended."""
        told = answer.status == 200
        names = tuple(name for step in steps for name in (step.ends or (step.object,)))
        if answer.code == "superseded":
            self._forget(session, planned.request.carried)
        elif told and answer.bookmark is not None:
            seen_by = {
                Kind.PUT: Kind.GET,
                Kind.APPEND: Kind.LISTS,
                Kind.TRANSFER: Kind.ACCOUNTS,
                Kind.RELATE: Kind.GRAPH,
                Kind.DELETE: Kind.GRAPH,
                Kind.INSERT: Kind.PAGES,
            }
            session.last[seen_by.get(planned.kind, planned.kind)] = (names, answer.bookmark)
            if planned.request.key is not None:
                self.latest = max(self.latest or answer.bookmark, answer.bookmark, key=_rank)
        if planned.kind is Kind.RELATE and told:
            self._nodes.learn(steps)
        if planned.kind in (Kind.APPEND, Kind.LISTS, Kind.TRANSFER, Kind.ACCOUNTS, Kind.DEPOSIT):
            self._update(planned, told, {step.object: step for step in steps})

    def _update(self, planned: Planned, told: bool, steps: dict[str, Step]) -> None:
        is_write = planned.request.key is not None
        for each in (*self._lists, *self._accounts):
            step = steps.get(each.id)
            if step is None:
                continue
            if is_write:
                each.busy = False
            if told and step.revision is not None and (is_write or not each.busy):
                fresh = is_write or not each.known or step.revision > each.revision
                if fresh:
                    each.elements, each.balance = step.elements or (), step.value or 0
                    each.revision, each.known = step.revision, True
            elif is_write:
                each.known = False
        for place, each in enumerate(self._lists):
            if len(each.elements) >= self.settings.elements_max and not each.busy:
                self._lists[place] = self._new_list()
                self._all_lists.append(self._lists[place].id)

    def _forget(self, session: Session, bookmark: str | None) -> None:
        """A bookmark was cut off: nobody carries it any more."""
        session.last = {kind: last for kind, last in session.last.items() if last[1] != bookmark}
        if self.latest == bookmark:
            self.latest = None

    def _append(self) -> Planned | None:
        wanted = 2 if self._chance.random() < self.settings.two_lists_share else 1
        chosen = self._free(self._lists, wanted)
        if len(chosen) < wanted:
            return None
        steps, contents = [], []
        for each in chosen:
            element = self._count()
            elements = (*each.elements, element)
            steps.append(Step(object=each.id, value=element, elements=elements, revision=each.revision + 1))
            contents.append(({"elements": elements}, each.revision))
            each.busy = True
        return self._write(Kind.APPEND, tuple(steps), contents)

    def _transfer(self) -> Planned | None:
        chosen = self._free(self._accounts, 2)
        if len(chosen) < 2:
            return None
        giver, taker = chosen
        amount = self._chance.randint(0, min(giver.balance, 10))
        balances = (giver.balance - amount, taker.balance + amount)
        steps = tuple(
            Step(object=each.id, value=balance, revision=each.revision + 1)
            for each, balance in zip(chosen, balances, strict=True)
        )
        contents = [({"balance": balance}, each.revision) for each, balance in zip(chosen, balances, strict=True)]
        for each in chosen:
            each.busy = True
        return self._write(Kind.TRANSFER, steps, contents)

    def _free(self, objects: list[_Object], wanted: int) -> list[_Object]:
        """Some objects that are known, and written by nobody unless there shall be a race."""
        race = self._chance.random() < self.settings.contention
        free = [each for each in objects if each.known and (race or not each.busy)]
        return self._chance.sample(free, min(wanted, len(free)))

    def _some_read(self, kind: Kind, session: Session) -> Planned:
        objects = {
            Kind.GET: lambda: [self._chance.choice(self.objects[Kind.GET])],
            Kind.LISTS: lambda: self._active(),
            Kind.ACCOUNTS: lambda: self.objects[Kind.ACCOUNTS],
            Kind.GRAPH: lambda: self._nodes.some(),
        }[kind]()
        last = session.last.get(kind)
        if last is None or self._chance.random() >= self.settings.carry_share:
            return self.read(kind, objects, None)
        names, bookmark = last
        if kind is Kind.GET:
            objects = list(names)
        elif kind in (Kind.LISTS, Kind.GRAPH):
            written = names if kind is Kind.LISTS else [name for name in names if self._nodes.is_node(name)]
            objects = list(dict.fromkeys([*written, *objects]))
        return self.read(kind, objects, bookmark)

    def _carried(self, session: Session) -> str | None:
        last = session.last.get(Kind.PAGES)
        return None if last is None or self._chance.random() >= self.settings.carry_share else last[1]

    def _change(self, kind: Kind) -> Planned:
        change = self._nodes.delete() if kind is Kind.DELETE or self._nodes.is_full else None
        change = change or self._nodes.relate()
        return self._send(change.kind, change.steps, change.operations)

    def _write(
        self,
        kind: Kind,
        steps: tuple[Step, ...],
        contents: Sequence[tuple[Mapping[str, Any], int | None]],
        type_: str = _TYPE,
    ) -> Planned:
        operations = []
        for step, (properties, revision) in zip(steps, contents, strict=True):
            entity = {"id": step.object, "type": type_, "name": kind.value, "properties": properties}
            operation: dict[str, Any] = {"op": "upsert_entity", "entity": entity}
            operations.append(operation if revision is None else {**operation, "if_revision": revision})
        return self._send(kind, steps, operations)

    def _send(self, kind: Kind, steps: tuple[Step, ...], operations: Sequence[Mapping[str, Any]]) -> Planned:
        key = str(UUID(int=self._chance.getrandbits(128), version=4))
        body = msgspec.json.encode({"operations": operations})
        request = Request(method="POST", path="/v1/changes", body=body, key=f"{self._run}-{key}")
        return Planned(kind=kind, steps=steps, request=request)

    def _active(self) -> list[str]:
        return [each.id for each in self._lists]

    def _new_list(self) -> _Object:
        self._lists_made += 1
        return _Object(id=f"{self._run}-l{self._lists_made}")

    def _count(self) -> int:
        self._number += 1
        return self._number


def _read_step(kind: Kind, name: str, found: Mapping[str, Any] | None) -> Step:
    if found is None:
        return Step(object=name, elements=() if kind is Kind.LISTS else None, revision=0)
    properties = found["properties"]
    if kind is Kind.LISTS:
        return Step(object=name, elements=tuple(properties["elements"]), revision=found["revision"])
    value = properties["value" if kind is Kind.GET else "balance"]
    return Step(object=name, value=value, revision=found["revision"])


def _rank(bookmark: str) -> tuple[int, int]:
    parsed = Bookmark.parse(bookmark)
    return parsed.epoch, parsed.position
