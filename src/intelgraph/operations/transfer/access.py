"""A tenant's way to the API: which address, whose bearer token, and which fleet of this machine gives them.

Without an address the fleet's edges are used. Without a token the fleet's own issuer signs one, again whenever it is
about to expire; that is recorded in the fleet with who asked. The API goes by the token alone, so a token of another
tenant than the one that is named is refused here: nothing is read from, or written to, a graph that was not meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jwt

from intelgraph.client.api_client import ApiClient, check_url
from intelgraph.model.actor import Actor
from intelgraph.model.errors import IntelGraphError, refuse
from intelgraph.model.names import check_name
from intelgraph.operations.edges import Edges, find_edges
from intelgraph.operations.operator import Operator
from intelgraph.operations.site import Site, the_site
from intelgraph.operations.tokens import renewed_token
from intelgraph.operations.transfer.progress import Progress

NAME_SHOWN_MAX = 60


@dataclass(frozen=True, kw_only=True)
class AccessOptions:
    """Whose graph it is, and what is known of the way there: a region's edge or an address, a token, which fleet."""

    tenant: str
    region: str | None = None
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    state: Path | None = None
    topology: Path | None = None

    @property
    def needs_fleet(self) -> bool:
        """Whether a fleet on this machine has to be found: for its edges or for its issuer."""
        return self.url is None or self.token is None

    def fleet_state(self) -> Path | None:
        """Where the state of the fleet is that is meant; none if no fleet was started there.

        It is looked for also where no fleet is needed: it may lie there. What keeps it from being found (a topology
        that is refused) is raised: nothing is written where it may be.
        """
        try:
            return the_site(self.state, self.topology).state
        except IntelGraphError as error:
            if error.denied.code != "no_fleet":
                raise
            return None


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who goes in, and how. ``site``: the fleet whose edges or whose issuer are used; none if neither is."""

    options: AccessOptions
    actor: Actor
    site: Site | None
    url: str
    edges: Mapping[str, str]
    token: Callable[[], str] = field(repr=False)

    @property
    def tenant(self) -> str:
        """Whose graph it is."""
        return self.options.tenant

    @property
    def operator(self) -> Operator | None:
        """Who is at work on a fleet of this machine; none where the API is another's."""
        return None if self.site is None else Operator(site=self.site, actor=self.actor)

    def client(self, progress: Progress) -> ApiClient:
        """A client of its own: each event loop needs another one. ``progress`` hears of it when it has to wait."""
        return ApiClient(url=self.url, edges=self.edges, token=self.token, on_wait=progress.wait)


def open_access(options: AccessOptions, actor: Actor, *, role: str) -> Access:
    """The way in that the options mean; refuses what does not fit before anything is sent. Nothing of it waits."""
    check_name("tenant", options.tenant)
    found = find_edges(options.state, options.topology) if options.needs_fleet else None
    if options.token is not None:
        token = _given(options.token, options.tenant)
    else:
        assert found is not None
        token = renewed_token(Operator(site=found.site, actor=actor), options.tenant, role)
    url, edges = reach(options, found)
    site = found.site if found is not None else None
    return Access(options=options, actor=actor, site=site, url=check_url(url), edges=edges, token=token)


def reach(options: AccessOptions, found: Edges | None) -> tuple[str, Mapping[str, str]]:
    """Where to go in, and which regions' edges may be gone to from there."""
    if options.url is not None:
        return options.url, {}
    assert found is not None
    if options.region is not None:  # and no other: what that region refuses is what was asked
        return found.edge(options.region), {}
    return found.url, found.edges


def _given(token: str, tenant: str) -> Callable[[], str]:
    if not token or not all("!" <= character <= "~" for character in token):
        raise refuse(
            "bad_token", "the token is refused: it is not one line of visible ASCII characters, as each token is"
        )
    named = _tenant_of(token)
    if named is not None and named != tenant:
        raise refuse(
            "wrong_tenant",
            f"nothing is done: the token is of the tenant {named[:NAME_SHOWN_MAX]!r}, and {tenant!r} was named; "
            f"the graph of {tenant} needs a token of {tenant}",
            tenant=tenant,
        )
    return lambda: token


def _tenant_of(token: str) -> str | None:
    """The tenant that a token names, unverified; none where that cannot be read here: the API judges each token."""
    try:
        named = jwt.decode(token, options={"verify_signature": False}).get("tenant")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return named if isinstance(named, str) else None
