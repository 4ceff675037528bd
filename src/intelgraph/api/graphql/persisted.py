"""Documents that a client has sent once and then names by their SHA-256, for each tenant by itself.

The requests and answers are those of Apollo's automatic persisted queries, which other clients speak too. Documents
are in memory, bounded in bytes in all and for each tenant, and may be forgotten: the client reads
``PersistedQueryNotFound`` and sends the text again.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable

import msgspec
from graphql import GraphQLError
from msgspec.structs import replace

from intelgraph.api.graphql.http import GraphQLRequest
from intelgraph.graph.query.cache import Cache
from intelgraph.graph.query.document import QueryRefused
from intelgraph.model.errors import IntelGraphError, refuse

VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BYTES_MAX, _BYTES_EACH = 32 * 1024 * 1024, 4 * 1024 * 1024
"""Of one worker, and of one tenant in it."""


class PersistedDocuments:
    """The documents of one worker."""

    def __init__(self) -> None:
        self.texts = Cache(bytes_max=_BYTES_MAX, bytes_each=_BYTES_EACH)

    def whole(self, tenant: str, asked: GraphQLRequest) -> GraphQLRequest:
        """Return the request with its document's text; refuses what is not known or not well-formed."""
        named = asked.extensions.get("persistedQuery")
        if named is None:
            return asked
        text = self._text(tenant, asked, named)
        if asked.query:
            return asked
        # A hop to the home carries the text: the document may not be known there.
        told = {"query": text, "operationName": asked.operation_name, "variables": asked.variables}
        return replace(asked, query=text, body=msgspec.json.encode(told))

    def _text(self, tenant: str, asked: GraphQLRequest, named: object) -> str:
        members: dict[str, object] = named if isinstance(named, dict) else {}
        digest, version = members.get("sha256Hash"), members.get("version")
        if not isinstance(digest, str):
            raise _bad("persistedQuery must be an object with a sha256Hash")
        if version != VERSION or isinstance(version, bool):
            raise _bad(f"the version of persistedQuery must be {VERSION}")
        digest = digest.lower()
        if not _SHA256.fullmatch(digest):
            raise _bad("sha256Hash of persistedQuery must be 64 hexadecimal digits")
        if not asked.query:
            return self._remembered(tenant, digest, _unknown)
        if hashlib.sha256(asked.query.encode()).hexdigest() != digest:
            raise _bad("sha256Hash is not that of its query")
        return self._remembered(tenant, digest, lambda: asked.query)

    def _remembered(self, tenant: str, digest: str, make: Callable[[], str]) -> str:
        return self.texts.get((tenant, digest), make, owner=tenant, size=sys.getsizeof)


def _bad(what: str) -> IntelGraphError:
    return refuse("bad_request", f"the request is refused: {what}")


def _unknown() -> str:
    # Clients act on this message and this code, and on no other.
    raise QueryRefused([GraphQLError("PersistedQueryNotFound")], "PERSISTED_QUERY_NOT_FOUND")
