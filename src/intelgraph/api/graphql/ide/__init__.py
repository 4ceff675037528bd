"""``/graphiql``: a page for people who ask by hand. It is a client like any other: no cookie, no right of its own.

The page's own files are in the package; GraphiQL's and React's are made by ``make console`` and looked for in
``console/dist``. Without them the page answers 404 with the command.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from intelgraph.api.http.request import Request
from intelgraph.api.http.response import Header, Response
from intelgraph.model.errors import refuse

DIST = Path(__file__).parents[5] / "console" / "dist"
_TYPES = {".js": b"text/javascript; charset=utf-8", ".css": b"text/css; charset=utf-8"}
_OURS = ("page.js", "page.css")
_MADE = ("react.js", "react-dom.js", "graphiql.js", "graphiql.css")
# GraphiQL sets styles on its elements; nothing is run but files of this origin, and nothing is asked elsewhere.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    b"img-src 'self' data:; font-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: list[Header] = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class GraphiQL:
    """The page of one worker; not ``enabled``: the region's settings turn it off."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled

    async def page(self, request: Request) -> Response:
        """``GET /graphiql``."""
        return self._answer("page.html", b"text/html; charset=utf-8", b"no-cache")

    async def file(self, request: Request) -> Response:
        """``GET /graphiql/{file}``: they change with the page's version, which their address names."""
        name = request.segment()
        if name not in (*_OURS, *_MADE):
            raise refuse("no_such_route", "there is nothing at this path; /openapi.json lists what there is")
        return self._answer(name, _TYPES[Path(name).suffix], b"public, max-age=31536000, immutable")

    def _answer(self, name: str, kind: bytes, caching: bytes) -> Response:
        if not self._enabled:
            raise refuse("no_such_route", "there is no GraphiQL here: the region's settings turn it off")
        if not self._files:
            raise refuse("no_such_route", "there is no GraphiQL here yet: `make console`, then restart the worker")
        headers = [*_HEADERS, (b"cache-control", caching)]
        return Response(status=200, body=self._files[name], content_type=kind, headers=headers)

    @cached_property
    def _files(self) -> dict[str, bytes]:
        """Every file that is served, by name; nothing else is ever opened."""
        ours = {name: files("intelgraph.api.graphql.ide").joinpath(name).read_bytes() for name in (*_OURS, "page.html")}
        made = {name: (DIST / name).read_bytes() for name in _MADE if (DIST / name).is_file()}
        if len(made) < len(_MADE):
            return {}
        version = hashlib.sha256(b"".join([*ours.values(), *made.values()])).hexdigest()[:16].encode()
        return {**ours, **made, "page.html": ours["page.html"].replace(b"VERSION", version)}
