"""The routing table: one line a route. Handlers live in the files that are named after what they do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property

from intelgraph.api import health
from intelgraph.api.door import Door
from intelgraph.api.graphql import handler as graphql
from intelgraph.api.graphql import ide
from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Answer
from intelgraph.api.read import read, stream
from intelgraph.api.write import write
from intelgraph.model.errors import PermanentError, refuse
from intelgraph.model.head_refusals import NO_SUCH_ROUTE

Handler = Callable[[Door, Request], Awaitable[Answer]]


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


ROUTES = (
    Route(template="/graphql", handlers={"GET": graphql.graphql, "POST": graphql.graphql}),
    Route(template="/graphiql", handlers={"GET": ide.page}),
    Route(template="/graphiql/{file}", handlers={"GET": ide.file}),
    Route(template="/v1/changes", handlers={"POST": write.write_changes, "GET": stream.changes}),
    Route(template="/v1/entities", handlers={"GET": read.read_entities}),
    Route(template="/v1/entities/{id}", handlers={"GET": read.read_entity}),
    Route(template="/v1/relationships", handlers={"GET": read.read_relationships}),
    Route(template="/v1/outcomes/{key}", handlers={"GET": read.read_outcome}),
    Route(template="/healthz", handlers={"GET": health.alive}),
    Route(template="/readyz", handlers={"GET": health.ready}),
    Route(template="/openapi.json", handlers={"GET": health.openapi}),
)
UNROUTED = Route(template="unrouted", handlers={})

_EXACT = {route.template.encode(): route for route in ROUTES if "{" not in route.template}
_UNDER = {route.template.partition("{")[0].encode(): route for route in ROUTES if "{" in route.template}


def find_route(request: Request) -> Route:
    """Return the route of a request's path, ``UNROUTED`` if there is none; keeps the variable segment."""
    path = request.raw_path
    route = _EXACT.get(path)
    if route is not None:
        return route
    cut = path.rfind(b"/") + 1
    route = _UNDER.get(path[:cut])
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
