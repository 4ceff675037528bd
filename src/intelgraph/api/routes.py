"""The routing table of a worker: one line a route. Handlers live in the files that are named after what they do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property

from intelgraph.api.graphql.handler import GraphQL
from intelgraph.api.graphql.ide import GraphiQL
from intelgraph.api.health import Health
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Answer
from intelgraph.api.read.rest import RestReads
from intelgraph.api.write.rest import RestWrites
from intelgraph.model.errors import PermanentError, refuse
from intelgraph.model.head_refusals import NO_SUCH_ROUTE

Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """A path template, of which the last segment may vary, and its handlers by method."""

    template: str
    handlers: dict[str, Handler]

    @cached_property
    def methods(self) -> list[str]:
        """The methods that it takes: where there is a GET there is a HEAD, and OPTIONS tells them."""
        return sorted({*self.handlers, "OPTIONS"} | ({"HEAD"} if "GET" in self.handlers else set()))

    @cached_property
    def allow(self) -> bytes:
        """The methods, as the ``Allow`` header lists them."""
        return ", ".join(self.methods).encode()


UNROUTED = Route(template="unrouted", handlers={})


@dataclass(frozen=True, kw_only=True)
class Handlers:
    """What the routes of one worker lead to."""

    graphql: GraphQL
    graphiql: GraphiQL
    reads: RestReads
    writes: RestWrites
    health: Health


class Routes:
    """The routes of one worker."""

    def __init__(self, to: Handlers) -> None:
        routes = (
            Route(template="/graphql", handlers={"GET": to.graphql.answer, "POST": to.graphql.answer}),
            Route(template="/graphiql", handlers={"GET": to.graphiql.page}),
            Route(template="/graphiql/{file}", handlers={"GET": to.graphiql.file}),
            Route(template="/v1/changes", handlers={"POST": to.writes.changes, "GET": to.reads.changes}),
            Route(template="/v1/entities", handlers={"GET": to.reads.entities}),
            Route(template="/v1/entities/{id}", handlers={"GET": to.reads.entity}),
            Route(template="/v1/relationships", handlers={"GET": to.reads.relationships}),
            Route(template="/v1/outcomes/{key}", handlers={"GET": to.reads.outcome}),
            Route(template="/healthz", handlers={"GET": to.health.alive}),
            Route(template="/readyz", handlers={"GET": to.health.ready}),
            Route(template="/openapi.json", handlers={"GET": to.health.openapi}),
        )
        self._exact = {route.template.encode(): route for route in routes if "{" not in route.template}
        self._under = {route.template.partition("{")[0].encode(): route for route in routes if "{" in route.template}

    def find(self, request: Request) -> Route:
        """Return the route of a request's path, ``UNROUTED`` if there is none; keeps the variable segment."""
        path = request.raw_path
        route = self._exact.get(path)
        if route is not None:
            return route
        cut = path.rfind(b"/") + 1
        route = self._under.get(path[:cut])
        if route is None or cut == len(path):
            return UNROUTED
        request.path_parameter = path[cut:]
        return route


def find_handler(route: Route, request: Request) -> Handler:
    """Return the handler of a method; refuses with ``no_such_route``, ``method_not_allowed`` or the head's own flaw."""
    if request.flaw is not None:
        raise PermanentError(request.flaw)
    if route is UNROUTED:
        raise PermanentError(NO_SUCH_ROUTE)
    handler = route.handlers.get(request.method)
    if handler is None:
        allowed = route.allow.decode()
        raise refuse(
            "method_not_allowed",
            f"the method is refused: {route.template} takes {allowed} only",
            allow=route.methods,
        )
    return handler
