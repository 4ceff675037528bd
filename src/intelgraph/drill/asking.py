"""One client asking one door, or several in turn: how tries make one operation. The drill's only way to the network.

An impatient client tries once at the door that it prefers. A patient one has a deadline; it repeats under the same
``Idempotency-Key`` whatever may pass by itself, goes on to the next door when one fails, and waits as long as it is
told to. What may be concluded from the tries together is ``conclusion``, which is pure: a write fails for certain only
if every try is known to have changed nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from intelgraph.drill.history import Outcome, Setback

_BACKOFF_FIRST_S, _BACKOFF_MAX_S = 0.05, 1.0
_MAY_PASS = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How a client behaves: ``deadline_s`` for an operation, ``try_s`` for one try, and whether it repeats.

    ``read_try_s``: so soon it asks the next door for what it reads, as the global edge does; twice as long each round.
    """

    deadline_s: float
    try_s: float
    repeats: bool
    connect_s: float = 1.0
    read_try_s: float = 0.5

    def longest_try_s(self, *, is_write: bool, tried: int, doors: int) -> float:
        """How long to wait for an answer at one door; there must be another for a shorter wait to be of use."""
        if is_write or doors < 2 or not self.repeats:
            return self.try_s
        return min(self.try_s, self.read_try_s * 2.0 ** min(tried // doors, 10))


PATIENT = Patience(deadline_s=15.0, try_s=2.5, repeats=True)
IMPATIENT = Patience(deadline_s=5.0, try_s=5.0, repeats=False)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is sent in every try. A write has a ``key``; a read may carry a bookmark. ``body`` may be empty for GET."""

    method: str
    path: str
    body: bytes = b""
    key: str | None = None
    carried: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers beyond the token."""
        named = {"Idempotency-Key": self.key, "IG-Bookmark": self.carried}
        headers = {name: value for name, value in named.items() if value is not None}
        if self.body:
            headers |= {"Content-Type": "application/json", "Accept": "application/graphql-response+json, */*"}
        return headers


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back from one try. ``status`` is 0 when nothing did; then ``sent`` says whether it may have arrived."""

    status: int
    body: Any = None
    code: str | None = None
    region: str | None = None
    bookmark: str | None = None
    staleness_ms: float | None = None
    retry_after_s: float | None = None
    sent: bool = True

    @property
    def certain(self) -> bool:
        """Whether it settles what became of a write that was tried once."""
        return self.status == 200 or not self.sent or (400 <= self.status < 500 and self.status not in (408, 429))


@dataclass(frozen=True, kw_only=True)
class Told:
    """An operation's end: the last answer, how it ended, and what went wrong before."""

    answer: Answer
    outcome: Outcome
    setbacks: tuple[Setback, ...]


def conclusion(answers: Sequence[Answer], *, is_write: bool) -> Outcome:
    """What a client may conclude from all answers to one operation, the last of them last."""
    last = answers[-1]
    if last.status == 200 or (last.status == 404 and last.code == "not_found" and not is_write):
        return Outcome.OK
    if not is_write or all(answer.certain for answer in answers):
        return Outcome.FAIL
    return Outcome.UNKNOWN


def may_pass(answer: Answer) -> bool:
    """Whether trying again can help: nothing came, it may pass by itself, or another region has to be asked."""
    return answer.status in _MAY_PASS or answer.status in (0, 202, 421)


class Doors:
    """The ways in to one tenant's graph: ``urls`` by region, and a bearer token that is still valid. A context."""

    def __init__(self, urls: Mapping[str, str], token: Callable[[], str], *, now: Callable[[], float]) -> None:
        self.urls = {region: url.rstrip("/") for region, url in urls.items()}
        self._token = token
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Doors:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def settle(self, first: str, request: Request, patience: Patience) -> Told:
        """Ask until there is an answer that no repetition can better, or patience ends."""
        until_s = self._now() + patience.deadline_s
        order = [first, *(region for region in self.urls if region != first)]
        answers: list[Answer] = []
        setbacks: list[Setback] = []
        while True:
            door = order[len(answers) % len(order)] if patience.repeats else first
            left_s = until_s - self._now()
            longest_s = patience.longest_try_s(is_write=request.key is not None, tried=len(answers), doors=len(order))
            answers.append(await self._try(door, request, patience, min(longest_s, max(left_s, 0.05))))
            answer = answers[-1]
            wait_s = self._wait_s(answers, len(order))
            if not may_pass(answer) or not patience.repeats or self._now() + wait_s >= until_s:
                outcome = conclusion(answers, is_write=request.key is not None)
                return Told(answer=answer, outcome=outcome, setbacks=tuple(setbacks))
            setbacks.append(
                Setback(
                    at_s=self._now(),
                    code=answer.code or str(answer.status),
                    region=answer.region or door,
                    retry_after_s=answer.retry_after_s,
                )
            )
            await asyncio.sleep(wait_s)

    @staticmethod
    def _wait_s(answers: Sequence[Answer], doors: int) -> float:
        """As long as it was told to wait; when nobody answered, not at all until every door was tried."""
        last = answers[-1]
        if last.retry_after_s is not None:
            return last.retry_after_s
        rounds, rest = divmod(len(answers), doors)
        return 0.0 if rest else min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2.0 ** min(rounds - 1, 10))

    async def _try(self, door: str, request: Request, patience: Patience, try_s: float) -> Answer:
        assert self._session is not None, "the doors are used outside their context"
        timeout = aiohttp.ClientTimeout(total=try_s, sock_connect=min(patience.connect_s, try_s))
        headers = {**request.headers, "Authorization": f"Bearer {self._token()}"}
        try:
            async with self._session.request(
                request.method,
                self.urls[door] + request.path,
                headers=headers,
                data=request.body or None,
                timeout=timeout,
                allow_redirects=False,
            ) as reply:
                return _read(reply.status, reply.headers, await reply.read())
        except aiohttp.ClientConnectorError:
            return Answer(status=0, code="no_connection", sent=False)
        except aiohttp.ConnectionTimeoutError:
            return Answer(status=0, code="no_connection", sent=False)
        except TimeoutError:
            return Answer(status=0, code="no_answer")
        except (aiohttp.ClientError, OSError):
            return Answer(status=0, code="connection_lost")


def _read(status: int, headers: Mapping[str, str], raw: bytes) -> Answer:
    try:
        body = msgspec.json.decode(raw) if raw else None
    except msgspec.DecodeError:
        body = None
    details = _details(body)
    retry_after = details.get("retry_after_s") or headers.get("Retry-After")
    code = details.get("code") or (None if status in (200, 202) else f"http_{status}")
    if status == 202:
        code = "unknown"
    return Answer(
        status=status,
        body=body,
        code=code,
        region=headers.get("IG-Region"),
        bookmark=headers.get("IG-Bookmark"),
        staleness_ms=_number(headers.get("IG-Staleness-Ms")),
        retry_after_s=_number(retry_after),
    )


def _details(body: Any) -> Mapping[str, Any]:
    """Problem details, or what a GraphQL error says instead."""
    if not isinstance(body, dict):
        return {}
    errors = body.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        extensions = errors[0].get("extensions")
        return extensions if isinstance(extensions, dict) else {"code": "graphql_error"}
    return body


def _number(value: object) -> float | None:
    """A header's or a member's number; nothing for ``unknown``."""
    try:
        return float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        return None
