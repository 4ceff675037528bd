"""The reference for writing: how a request's operations become the whole resulting objects, or a refusal.

For: predicting what `ig.append` must answer in a region that holds given rows. Pure, recomputed from the rows each
time. What does not belong here: acceptance and state (`log`), positions, clocks.

Decisions taken where docs/log.md leaves room:

- A refusal names the first thing wrong: the size of the batch, who may write (`fenced` before `not_home`; the home in
  a later life is `fenced`), then the key, then each operation in turn. A repeat is recognised after the fence.
- A revision counts every form an object ever had, tombstones too, and each operation on it: a re-created object goes on
  from its tombstone. For ``if_revision`` a tombstone counts as nothing (0). In epoch n it lies above (n - 1) * 2^32,
  however it was counted before: no two epochs make the same one.
- A re-created entity may take another type, a re-created relationship other endpoints: a tombstone tells neither.
- An erased id may be erased again. An id of which there never was anything here is `not_found`: it may be made later.
- A relationship that goes with an entity says which operation took it along (`taken_by`, counted from 0).
- Times that a request leaves out are the server's business: they are compared as ``ANY_TIME``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from intelgraph.changelog.model.holding import Holding
from intelgraph.changelog.model.log import Form, Object, ObjectKey, Row, Rows, Writer, in_force, outcomes, state

OPERATIONS_MAX = 1_000
ID_LENGTH_MAX = 256
REVISIONS_OF_AN_EPOCH = 2**32
ANY_TIME = "any time"

Operation = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One write, as the door hands it to the database."""

    epoch: int
    tenant: str
    key: str
    request: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, kw_only=True)
class Refused:
    code: str


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """The key has an accepted outcome with the same request: answered with the row of the first one."""

    row: tuple[str, int, int]


@dataclass(frozen=True, kw_only=True)
class Appended:
    """The objects of the new row's body, by (kind, id)."""

    objects: Mapping[tuple[str, str], Object]


Answer = Refused | Repeated | Appended


class _Refusal(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Conclusions(Protocol):
    """What a region concludes from its rows, as far as writing depends on it."""

    @property
    def standing(self) -> Sequence[Row]:
        """The opens in force, the highest first."""
        ...

    @property
    def held(self) -> bool:
        """Whether the placement is held."""
        ...

    @property
    def forms(self) -> Mapping[ObjectKey, Form]:
        """Every object's state."""
        ...

    @property
    def gone(self) -> Set[tuple[str, str]]:
        """The erased ids, by tenant."""
        ...

    def outcome(self, tenant: str, key: str) -> Row | None:
        """The row that a repeat of the key is answered with."""
        ...

    def ever(self, tenant: str, id_: str) -> bool:
        """Whether any whole row held here touched an id, whether it counts or not."""
        ...


class Computed:
    """Conclusions computed from nothing, each time they are asked for."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self.held = holding.held

    @property
    def standing(self) -> Sequence[Row]:
        return in_force(self._holding.rows)

    @property
    def forms(self) -> Mapping[ObjectKey, Form]:
        return state(self._holding.read)

    @property
    def gone(self) -> Set[tuple[str, str]]:
        return self._holding.erased

    def outcome(self, tenant: str, key: str) -> Row | None:
        first = outcomes(self._holding.read).get((tenant, key))
        return None if first is None else self._holding.rows[first]

    def ever(self, tenant: str, id_: str) -> bool:
        return ever(self._holding.rows, tenant, id_)


def ever(rows: Rows, tenant: str, id_: str) -> bool:
    """Whether any of the rows that are whole touched an id."""
    return any(row.tenant == tenant and id_ in row.touched for row in rows.values())


def append(holding: Holding, writer: Writer, request: Request, closed: int | None = None) -> Answer:
    """What a region that holds these rows, and has ended writing in the epoch ``closed``, answers to a write."""
    return answer(Computed(holding), writer, request, closed)


def answer(concluded: Conclusions, writer: Writer, request: Request, closed: int | None = None) -> Answer:
    """What a region that concludes this from its rows, and has ended writing in ``closed``, answers to a write."""
    if len(request.operations) > OPERATIONS_MAX:
        return Refused(code="too_many_operations")
    refused = fence(concluded, writer, request.epoch, closed)
    return work(concluded, request) if refused is None else refused


def work(concluded: Conclusions, request: Request) -> Answer:
    """What becomes of a write by whoever may write."""
    first = concluded.outcome(request.tenant, request.key)
    if first is not None:
        return Repeated(row=first.identity) if first.request == request.request else Refused(code="key_reused")
    try:
        return Appended(objects=resulting(concluded, request))
    except _Refusal as refusal:
        return Refused(code=refusal.code)


def fence(concluded: Conclusions, writer: Writer, epoch: int, closed: int | None = None) -> Refused | None:
    """Who may write: the writer of the open in force, in its epoch, unless the placement is held or closed."""
    standing = concluded.standing
    if not standing:
        return Refused(code="unknown_placement")
    home = standing[0].identity.writer
    if standing[0].epoch != epoch:
        return Refused(code="fenced")
    if home.origin != writer.origin:
        return Refused(code="not_home")
    if home.life != writer.life:
        return Refused(code="fenced")
    if concluded.held:
        return Refused(code="held")
    return Refused(code="closing") if closed == epoch else None


def resulting(concluded: Conclusions, request: Request) -> dict[tuple[str, str], Object]:
    """The whole objects that the operations leave, each seeing the ones before it; raises at the first refusal."""
    desk = _Desk(concluded, request.tenant)
    for index, operation in enumerate(request.operations):
        desk.perform(index, operation)
    below = (request.epoch - 1) * REVISIONS_OF_AN_EPOCH
    return {
        key: {**item, "revision": below + 1} if item.get("revision", below + 1) <= below else item
        for key, item in desk.touched.items()
    }


class _Desk:
    """The objects of one tenant while one request is worked on."""

    def __init__(self, concluded: Conclusions, tenant: str) -> None:
        self._tenant = tenant
        self._before = concluded.forms
        self._ever = concluded.ever
        self._gone = {id_ for owner, id_ in concluded.gone if owner == tenant}
        self.touched: dict[tuple[str, str], Object] = {}
        self._index = 0

    def perform(self, index: int, operation: Operation) -> None:
        self._index = index
        handler = getattr(self, f"_{operation.get('op')}", None)
        if handler is None:
            raise _Refusal("bad_operation")
        handler(operation)

    def _now(self, kind: str, id_: str) -> Object | None:
        """The live form of an object as the operations so far leave it."""
        if id_ in self._gone:
            return None
        item = self.touched.get((kind, id_))
        if item is None:
            form = self._before.get(ObjectKey(self._tenant, kind, id_))
            item = None if form is None else form.object
        return None if item is None or item.get("deleted") else item

    def _next_revision(self, kind: str, id_: str) -> int:
        if (kind, id_) in self.touched:
            return int(self.touched[kind, id_]["revision"]) + 1
        form = self._before.get(ObjectKey(self._tenant, kind, id_))
        return 1 if form is None else int(form.object["revision"]) + 1

    def _replace(self, kind: str, wanted: Mapping[str, Any], operation: Operation, fixed: Mapping[str, str]) -> None:
        id_ = wanted["id"]
        now = self._now(kind, id_)
        if "if_revision" in operation and operation["if_revision"] != (0 if now is None else now["revision"]):
            raise _Refusal("revision_mismatch")
        if now is not None:
            for name, code in fixed.items():
                if now[name] != wanted[name]:
                    raise _Refusal(code)
        self.touched[kind, id_] = {
            "kind": kind,
            **{name: wanted[name] for name in ("id", "type", "name", "source", "target") if name in wanted},
            "properties": wanted.get("properties", {}),
            "confidence": wanted.get("confidence"),
            "valid_from": wanted.get("valid_from"),
            "valid_until": wanted.get("valid_until"),
            "sources": wanted.get("sources", []),
            "created": wanted.get("created", ANY_TIME if now is None else now["created"]),
            "updated": wanted.get("updated", ANY_TIME),
            "revision": self._next_revision(kind, id_),
        }

    def _upsert_entity(self, operation: Operation) -> None:
        wanted = operation.get("entity", {})
        _check(wanted, ("type", "name"))
        if wanted["id"] in self._gone:
            raise _Refusal("erased")
        self._replace("entity", wanted, operation, {"type": "type_changed"})

    def _upsert_relationship(self, operation: Operation) -> None:
        wanted = operation.get("relationship", {})
        _check(wanted, ("type", "source", "target"))
        if wanted["id"] in self._gone:
            raise _Refusal("erased")
        fixed = {"type": "type_changed", "source": "endpoints_changed", "target": "endpoints_changed"}
        self._replace("relationship", wanted, operation, fixed)
        if any(self._now("entity", wanted[end]) is None for end in ("source", "target")):
            raise _Refusal("dangling")

    def _delete_entity(self, operation: Operation) -> None:
        self._delete("entity", operation)
        self._delete_relationships_of(operation["id"])

    def _delete_relationship(self, operation: Operation) -> None:
        self._delete("relationship", operation)

    def _delete(self, kind: str, operation: Operation) -> None:
        _check(operation, ())
        if operation["id"] in self._gone:
            raise _Refusal("erased")
        if self._now(kind, operation["id"]) is None:
            raise _Refusal("not_found")
        self._bury(kind, operation["id"])

    def _bury(self, kind: str, id_: str, **more: int) -> None:
        revision = self._next_revision(kind, id_)
        self.touched[kind, id_] = {"kind": kind, "id": id_, "revision": revision, "deleted": True, **more}

    def _delete_relationships_of(self, entity: str) -> None:
        known = {key.id for key in self._before if key.tenant == self._tenant and key.kind == "relationship"}
        known |= {id_ for kind, id_ in self.touched if kind == "relationship"}
        for id_ in known:
            now = self._now("relationship", id_)
            if now is not None and entity in (now["source"], now["target"]):
                self._bury("relationship", id_, taken_by=self._index)

    def _erase(self, operation: Operation) -> None:
        ids = operation.get("ids")
        if not isinstance(ids, list) or not ids:
            raise _Refusal("bad_operation")
        for id_ in ids:
            _check({"id": id_}, ())
            there = self._ever(self._tenant, id_) or any(key[1] == id_ for key in self.touched)
            if not there and id_ not in self._gone:
                raise _Refusal("not_found")
        for id_ in ids:
            self._delete_relationships_of(id_)
            self._gone.add(id_)
        for id_ in ids:
            self.touched = {key: item for key, item in self.touched.items() if key[1] != id_ or key[0] == "erased"}
            self.touched["erased", id_] = {"kind": "erased", "id": id_}


def _check(wanted: Any, texts: Sequence[str]) -> None:
    """An object must have an id of 1 to 256 characters, and the texts its kind requires."""
    if not isinstance(wanted, Mapping):
        raise _Refusal("bad_operation")
    id_ = wanted.get("id")
    if not isinstance(id_, str) or not 1 <= len(id_) <= ID_LENGTH_MAX:
        raise _Refusal("bad_operation")
    if any(not isinstance(wanted.get(name), str) or not wanted[name] for name in texts):
        raise _Refusal("bad_operation")
    confidence = wanted.get("confidence")
    if confidence is not None and not (isinstance(confidence, int) and 0 <= confidence <= 100):
        raise _Refusal("bad_operation")
