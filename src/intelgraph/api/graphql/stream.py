"""Subscriptions as server-sent events, in the way of the GraphQL over SSE protocol.

``next`` events; an error that connecting again cannot help, and ``complete``.

The fields that are asked for are taken from the log's own changes; nothing else has to be asked. What the filter
passes over is not told, but a stream goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from intelgraph.api.admission import Admitted
from intelgraph.api.graphql.http import of_denied
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Stream
from intelgraph.api.read.changes import ChangesAnswer
from intelgraph.api.read.parameters import checked_bookmark
from intelgraph.api.read.stream import UNREADABLE, Start, Streams, bookmark_of, unreadable
from intelgraph.graph.query.prepared import Prepared
from intelgraph.graph.query.selection import Args, Selected
from intelgraph.model.errors import Denied, PermanentError, refuse

_BATCH = 100
Object = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Subscriptions:
    """The subscriptions of one worker."""

    streams: Streams

    async def subscribe(self, request: Request, admitted: Admitted, prepared: Prepared) -> Stream:
        """Follow the tenant's changes; refuses as a read does, and what leaves its only field out."""
        roots = prepared.selection.roots
        if len(roots) != 1 or (roots[0].parent, roots[0].name) != ("Subscription", "changes"):
            raise refuse("bad_request", "the request is refused: a subscription asks for the field changes, once")
        args = prepared.arguments[roots[0].number]
        after = checked_bookmark(request.header(b"last-event-id") or args.get("after"))
        start, form = Start(after=after, limit=_BATCH), Subscribed(roots[0], args)
        return await self.streams.follow(request, admitted, start, form)


@dataclass(frozen=True)
class Subscribed:
    """The form of a subscription's events."""

    root: Selected
    args: Args

    def batch(self, answer: ChangesAnswer) -> tuple[int, bytes]:
        """Tell the changes that have an object which the filter lets pass; of others, that they are left out."""
        changes = msgspec.json.decode(answer.changes, type=list[msgspec.Raw])
        return len(changes), b"".join([self._told(change) for change in changes])

    def _told(self, raw: msgspec.Raw) -> bytes:
        bookmark = bookmark_of(raw)
        try:
            change: Object = msgspec.json.decode(raw)
            told = [made for made in change["objects"] if _passes(made, self.args.get("filter") or {})]
            if not told:
                return b""
            # msgspec, because it keeps every digit of the whole numbers that may be stored.
            data = msgspec.json.encode({"data": {self.root.key: _change(self.root, change, told)}})
        except UNREADABLE:
            members = {**of_denied(PermanentError(unreadable(bookmark))), "path": [self.root.key]}
            data = orjson.dumps({"errors": [members], "data": None})
        return _event(b"next", data, bookmark.encode())

    def end(self, denied: Denied, *, resumes: bool) -> bytes:
        """Tell the reason: as an error, then ``complete``; as a comment to whoever shall connect again.

        ``complete`` means *finished* to every client, and an error means that something is wrong.
        """
        if resumes:
            return b": %b; %b\n\n" % (denied.code.encode(), denied.reason.encode())
        errors = orjson.dumps({"errors": [of_denied(PermanentError(denied))]})
        return _event(b"next", errors) + _event(b"complete", b"")


def _event(name: bytes, data: bytes, id_: bytes | None = None) -> bytes:
    return (b"id: %b\n" % id_ if id_ is not None else b"") + b"event: %b\ndata: %b\n\n" % (name, data)


def _gone(made: Object) -> bool:
    return bool(made.get("deleted")) or made["kind"] == "erased"


def _passes(made: Object, wanted: Mapping[str, Any]) -> bool:
    kinds, types, ids = wanted.get("kinds"), wanted.get("types"), wanted.get("ids")
    return (
        (kinds is None or made["kind"] in kinds)
        and (types is None or _gone(made) or made.get("type") in types)
        and (ids is None or made["id"] in ids)
    )


def _change(root: Selected, change: Object, told: list[Object]) -> dict[str, Any]:
    members: dict[str, Callable[[Selected], Any]] = {
        "__typename": lambda _: "Change",
        "bookmark": lambda _: change["bookmark"],
        "writtenAt": lambda _: change.get("written_at"),
        "objects": lambda field: [_object(field, made) for made in told],
    }
    return {field.key: members[field.name](field) for field in root.only()}


_NAMED = {
    "sourceId": "source", "targetId": "target", "validFrom": "valid_from", "validUntil": "valid_until",
}  # fmt: skip


def _object(objects: Selected, made: Object) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if not (isinstance(made["id"], str) and isinstance(made["kind"], str)):
        raise TypeError("an object of a change has no id or no kind")
    for field in objects.only():
        if field.name == "__typename":
            told[field.key] = "ChangedObject"
        elif field.name == "deleted":
            told[field.key] = _gone(made)
        else:
            told[field.key] = made.get(_NAMED.get(field.name, field.name))
    return told
