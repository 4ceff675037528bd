"""Documents that a client has sent once and then names by their SHA-256, for each tenant by itself.

They are kept in memory and may be forgotten: the client then sends the text again.
"""

from __future__ import annotations

import hashlib

import orjson
from msgspec.structs import replace

from intelgraph.api.graphql_http import GraphQLRequest
from intelgraph.graph.query.planning import Kept
from intelgraph.model.errors import refuse

_KEPT_MAX = 1_000


class PersistedDocuments:
    """The documents of one worker."""

    def __init__(self) -> None:
        self._texts = Kept(_KEPT_MAX)

    def whole(self, tenant: str, asked: GraphQLRequest) -> GraphQLRequest:
        """Return the request with its document's text; refuses with ``document_not_kept`` or ``bad_request``."""
        named = asked.extensions.get("persistedQuery")
        if named is None:
            return asked
        text = self._text(tenant, asked, named)
        if asked.query:
            return asked
        # A hop to the home carries the text: the document may not be known there.
        told = {"query": text, "operationName": asked.operation_name, "variables": asked.variables}
        return replace(asked, query=text, body=orjson.dumps(told))

    def _text(self, tenant: str, asked: GraphQLRequest, named: object) -> str:
        digest = named.get("sha256Hash") if isinstance(named, dict) else None
        if not isinstance(digest, str):
            raise refuse("bad_request", "the request is refused: persistedQuery must have a sha256Hash")
        if not asked.query:
            return self._texts.get((tenant, digest), _unknown)
        if hashlib.sha256(asked.query.encode()).hexdigest() != digest:
            raise refuse("bad_request", "the request is refused: sha256Hash is not that of its query")
        return self._texts.get((tenant, digest), lambda: asked.query)


def _unknown() -> str:
    raise refuse("document_not_kept", "the document is not known here by its hash: send it once with its text")
