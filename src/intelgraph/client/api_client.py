"""The API's HTTP client: finds a region that may serve the tenant, follows it, and retries what may pass.

Guarantees: a body is only sent to a region that has said, to a request without one, that it may hold the tenant; so
nothing of a tenant's data reaches an edge of a region where the tenant may not be. A write is sent again only under
its own ``Idempotency-Key``. Waiting is bounded (``ClientPolicy``), honours ``Retry-After`` and is jittered. What
remains is raised as the typed error the API gave, or ``door_unreachable``.

Where an ``edges`` entry is known for the region that answered, later requests go straight to that edge; when it fails,
the search starts again at ``url``.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import orjson
from yarl import URL

from intelgraph.http_body import BodyTooLarge, read_body
from intelgraph.model.errors import Fact, IntelGraphError, TransientError, refuse, retry, what_failed

_RETRIED = frozenset({408, 429, 502, 503, 504})
_HOPS_MAX = 4
_SHOWN_MAX = 200
_SAID_AFTER_S, _SAID_EVERY_S = 2.0, 5.0
_BROKEN_OFF = (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError, ConnectionError)


@dataclass(frozen=True, kw_only=True)
class ClientPolicy:
    """How long to try. A request is given up ``retry_budget_s`` after its first attempt, whatever it waits for."""

    retry_budget_s: float = 60.0
    backoff_first_s: float = 0.1
    backoff_max_s: float = 5.0
    request_timeout_s: float = 60.0
    connect_timeout_s: float = 5.0
    connections_max: int = 20
    answer_bytes_max: int = 512 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer, and where it came from."""

    status: int
    body: bytes
    region: str | None
    bookmark: str | None
    retry_after_s: float | None

    def json(self) -> Any:
        """The body, whole numbers exact; refuses with ``bad_answer`` what is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise refuse("bad_answer", f"the API's answer of status {self.status} is not JSON") from error

    def error(self) -> IntelGraphError:
        """The refusal that this answer is."""
        code, reason, facts = self.problem()
        if self.status in _RETRIED:
            return retry(code, reason, retry_after_s=self.retry_after_s or 1.0, **facts)
        return refuse(code, reason, **facts)

    def problem(self) -> tuple[str, str, dict[str, Fact]]:
        """Code, reason and facts of problem details, or something as honest for an answer that has none."""
        try:
            details = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            details = None
        details = _of_graphql(details) or details
        if not isinstance(details, dict) or not isinstance(details.get("code"), str):
            shown = self.body[:_SHOWN_MAX].decode(errors="replace").strip()
            return "bad_answer", f"the API answered {self.status}: {shown or 'nothing'}", {"status": self.status}
        facts = details.get("facts")
        reason = str(details.get("reason") or details["code"])
        return details["code"], reason, facts if isinstance(facts, dict) else {}


def _of_graphql(answer: Any) -> dict[str, Any] | None:
    """The first error of a GraphQL answer as problem details."""
    errors = answer.get("errors") if isinstance(answer, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return None
    extensions = first.get("extensions")
    return {"reason": first.get("message"), **(extensions if isinstance(extensions, dict) else {})}


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One request, whichever region it goes to."""

    method: str
    path: str
    headers: Mapping[str, str]
    params: Mapping[str, str] | None = None
    body: bytes | None = None


def backoff_s(failures: int, retry_after_s: float | None, policy: ClientPolicy, chance: float) -> float:
    """How long to wait after the ``failures``-th failure (from 1); ``chance`` in 0..1 spreads clients apart.

    At least ``Retry-After``, at most half as much again; without it, between half of the doubling step and all.
    """
    step = min(policy.backoff_max_s, policy.backoff_first_s * 2.0 ** min(failures - 1, 20))
    if retry_after_s is not None:
        return retry_after_s + chance * min(step, 0.5 * max(retry_after_s, policy.backoff_first_s))
    return step * (0.5 + 0.5 * chance)


class ApiClient:
    """One tenant's way in. ``token()`` gives a bearer token that is still valid; ``edges`` maps regions to URLs.

    ``on_wait`` hears now and then, while requests are tried again, why and for how many seconds that goes on at most.
    """

    def __init__(
        self,
        *,
        url: str,
        token: Callable[[], str],
        edges: Mapping[str, str] | None = None,
        policy: ClientPolicy | None = None,
        chance: Callable[[], float] = random.random,
        on_wait: Callable[[IntelGraphError, float], None] | None = None,
    ) -> None:
        self._url = check_url(url)
        self._edges = {region: check_url(edge) for region, edge in (edges or {}).items()}
        self._token = token
        self._policy = policy or ClientPolicy()
        self._chance = chance
        self._on_wait = on_wait
        self._said_s = -math.inf
        self._settled: str | None = None
        self._settling = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None
        self.retries = 0

    async def __aenter__(self) -> ApiClient:
        timeout = aiohttp.ClientTimeout(
            total=self._policy.request_timeout_s, sock_connect=self._policy.connect_timeout_s
        )
        connector = aiohttp.TCPConnector(limit=self._policy.connections_max)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, *, params: Mapping[str, str] | None = None, bookmark: str | None = None) -> Reply:
        """Read; any final answer is returned, a success or a refusal."""
        headers = {"IG-Bookmark": bookmark} if bookmark else {}
        return await self._request(_Call(method="GET", path=path, headers=headers, params=params))

    async def post(self, path: str, *, body: bytes, key: str) -> Reply:
        """Write under an idempotency key; any final answer is returned."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        return await self._request(_Call(method="POST", path=path, headers=headers, body=body))

    async def ask(self, document: str, variables: Mapping[str, str]) -> Reply:
        """Read by a GraphQL document; any final answer is returned."""
        body = orjson.dumps({"query": document, "variables": dict(variables)})
        headers = {"Content-Type": "application/json", "Accept": "application/graphql-response+json"}
        return await self._request(_Call(method="POST", path="/graphql", headers=headers, body=body))

    async def check_tenant(self) -> None:
        """Refuse, before anything else is done, what no request could do: no such tenant, no right to read it."""
        reply = await self.get("/v1/entities", params={"limit": "1"})
        if reply.status != 200 and reply.problem()[0] == "unknown_tenant":
            _, reason, facts = reply.problem()
            made = "`intelgraph tenant create NAME --placement PLACEMENT` makes one"
            raise refuse("unknown_tenant", f"{reason}; {made}", **facts)
        if reply.status != 200:
            raise reply.error()

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        """The whole body; refuses with ``bad_answer`` one that would not fit in memory."""
        try:
            return await read_body(answer.content, self._policy.answer_bytes_max)
        except BodyTooLarge as error:
            limit = f"{error.bytes_max // 1024**2} MiB"
            raise refuse("bad_answer", f"an answer of the API is larger than {limit}, and was not read") from None

    async def _request(self, call: _Call) -> Reply:
        started_s = time.monotonic()
        failures = hops = 0
        named: str | None = None
        while True:
            url, result = await self._try(call, named)
            named = None
            if isinstance(result, Reply):
                if result.status == 421:
                    self._settled = None
                edge = self._edge_after_421(result, refused=url)
                if edge is not None and hops < _HOPS_MAX:
                    hops += 1
                    named = edge
                    continue
                if result.status not in _RETRIED:
                    return result
            failures += 1
            self._settled = None
            error = result.error() if isinstance(result, Reply) else result
            after_s = result.retry_after_s if isinstance(result, Reply) else None
            wait_s = backoff_s(failures, after_s, self._policy, self._chance())
            tried_s = time.monotonic() - started_s
            if tried_s + wait_s > self._policy.retry_budget_s:
                raise error
            self._say(error, tried_s)
            self.retries += 1
            await asyncio.sleep(wait_s)

    def _say(self, error: IntelGraphError, tried_s: float) -> None:
        now_s = time.monotonic()
        if self._on_wait is not None and tried_s >= _SAID_AFTER_S and now_s - self._said_s >= _SAID_EVERY_S:
            self._said_s = now_s
            self._on_wait(error, self._policy.retry_budget_s - tried_s)

    async def _try(self, call: _Call, named: str | None) -> tuple[str, Reply | TransientError]:
        """One attempt: where it went and what came back. ``named``: an edge that a 421 sent us to."""
        url = named or self._settled or self._url
        try:
            if call.body is not None:
                found = await self._settle(url)
                if isinstance(found, Reply):
                    return url, found
                url = found
            reply = await self._once(url, call)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return url, _no_answer(url, error, self._policy)
        except TransientError as error:
            return url, error
        if reply.status == 200 and self._settled is None and reply.region in self._edges:
            self._settled = self._edges[reply.region]
        return url, reply

    async def _settle(self, url: str) -> str | Reply:
        """Find, from ``url`` and with requests that have no body, an edge of a region that may serve the tenant; or the
        answer that may pass."""
        async with self._settling:
            for _ in range(_HOPS_MAX):
                if self._settled is not None:
                    return self._settled
                probe = _Call(method="GET", path="/v1/entities", headers={}, params={"limit": "1"})
                reply = await self._once(url, probe)
                edge = self._edge_after_421(reply, refused=url)
                if reply.status == 200:
                    self._settled = self._edges.get(reply.region or "", url)
                elif edge is not None:
                    url = edge
                elif reply.status in _RETRIED:
                    return reply
                else:
                    raise reply.error()
            raise refuse("region_not_allowed", f"no region that may serve the tenant was found in {_HOPS_MAX} steps")

    def _edge_after_421(self, reply: Reply, *, refused: str) -> str | None:
        """The edge of the first region that a 421 names, that is known here and is not the one that sent us away."""
        if reply.status != 421:
            return None
        regions = reply.problem()[2].get("regions")
        named = regions if isinstance(regions, list) else []
        return next((self._edges[name] for name in named if self._edges.get(name, refused) != refused), None)

    async def _once(self, url: str, call: _Call) -> Reply:
        if self._session is None:
            raise RuntimeError("the client is used outside its context")
        headers = {**call.headers, "Authorization": f"Bearer {self._token()}"}
        target = URL(url + call.path, encoded=True).with_query(call.params)
        async with self._session.request(
            call.method, target, headers=headers, data=call.body, allow_redirects=False
        ) as answer:
            return Reply(
                status=answer.status,
                body=await self._body(answer),
                region=answer.headers.get("IG-Region"),
                bookmark=answer.headers.get("IG-Bookmark"),
                retry_after_s=_seconds(answer.headers.get("Retry-After")),
            )


def _no_answer(url: str, error: Exception, policy: ClientPolicy) -> TransientError:
    """What became of a request without an answer: nobody was there, nothing came in time, or it broke off."""
    what = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0  # asyncio's own words name its call instead
        what = os.strerror(number) if number > 0 else what_failed(error.os_error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        within = f"no connection within {policy.connect_timeout_s:g} s"
        return retry("door_unreachable", f"the API at {url} cannot be reached: {within}", retry_after_s=1.0)
    if isinstance(error, TimeoutError):
        reason = f"the API at {url} took the request and has not answered within {policy.request_timeout_s:g} s"
        return retry("no_answer", reason, retry_after_s=1.0)
    if isinstance(error, _BROKEN_OFF) and not isinstance(error, aiohttp.ClientConnectorError):
        reason = f"the API at {url} took the request and broke off before its answer was whole: {what}"
        return retry("broken_off", reason, retry_after_s=1.0)
    return retry("door_unreachable", f"the API at {url} cannot be reached: {what}", retry_after_s=1.0)


def check_url(url: str) -> str:
    """The URL without a slash at its end; refuses with ``bad_url`` what has no http scheme and host, or more."""
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc:  # not shown: who reads what a command says need not know the password
            raise refuse(
                "bad_url", "the URL is refused: it holds a user's name or password; who asks is said by a bearer token"
            )
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        is_good = is_good and url.isprintable() and " " not in url  # what is parsed has lost some such characters
        is_good = is_good and (parts.port is None or parts.port > 0) and bool(URL(url, encoded=True).host)
        (parts.hostname or "").encode("idna")  # as whoever looks it up will do
    except ValueError:  # a bracket that is not closed, a port that is none, a label that is empty or too long
        is_good = False
    if not is_good:
        raise refuse("bad_url", f"the URL {url!r} is refused: it must read http://HOST[:PORT] or https://HOST[:PORT]")
    return url.rstrip("/")


def _seconds(text: str | None) -> float | None:
    """``Retry-After`` in seconds; its date form is not used by the API."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
