"""Asks etcd's members over their JSON gateway: which one first, which one next, and what may be asked again.

Members are asked in the order given, nearest first; one that failed stands aside, and is asked last, until it has
answered again: it is tried by itself every ``ASIDE_S``, so that neither a read nor a write is what finds out, and a
process comes back to its own site's member. Every request says that it needs a leader, so that a
member that knows it is cut off says so at once instead of letting the request wait.

What only reads is *hedged*: a member that is silent for ``HEDGE_S`` gets company from the next one, and the first
answer counts. What writes is sent once: only where it was surely not taken up (no connection, no leader) does the next
member get it; else the error says that the outcome is not known. Both end within ``ANSWER_S``, whatever is lost.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from intelgraph.http_body import BodyTooLarge, read_body
from intelgraph.model.errors import TransientError, retry, why_no_answer

ANSWER_S = 1.2
ASK_S = 1.0
CONNECT_S = 0.5
HEDGE_S = 0.3
ASIDE_S = 1.0
ROUND_PAUSE_S = 0.1
ANSWER_BYTES_MAX = 256 * 1024 * 1024
"""A range of many thousand keys has tens of megabytes."""

Json = dict[str, Any]
ANY_REVISION: Json = {"key": base64.b64encode(b"\0").decode(), "count_only": True}
"""A linearizable read of nothing: only a member of a majority can answer it."""
FAILURES = (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError)
_NEEDS_LEADER = {"Grpc-Metadata-hasleader": "true"}
_NOT_TAKEN_UP = ("etcdserver: no leader", "raft proposal dropped", "etcdserver: too many requests")


@dataclass(frozen=True, kw_only=True)
class Patience:
    """For how long a read waits: for one member, until it asks another as well, and altogether."""

    ask_s: float = ASK_S
    hedge_s: float = HEDGE_S
    answer_s: float = ANSWER_S


QUICK = Patience()
BULK = Patience(ask_s=4.0, hedge_s=1.0, answer_s=8.0)
"""For thousands of keys at once."""


class Refused(aiohttp.ClientError):
    """A member answered that it does not do it."""


class Members:
    """The members at ``urls`` (their clients' ports), nearest first."""

    def __init__(self, urls: Sequence[str], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        if not urls:
            raise ValueError("an etcd cluster has at least one member")
        self._urls = tuple(urls)
        self._failed_s: dict[str, float] = {}
        self._trials: dict[str, asyncio.Task[None]] = {}
        self._monotonic = monotonic
        self._http: aiohttp.ClientSession | None = None

    def in_order(self) -> list[str]:
        """The members to ask, first to last: those that stand aside come last, and of them the one that failed last."""
        return sorted(self._urls, key=lambda url: self._failed_s.get(url, float("-inf")))

    def failed(self, url: str) -> None:
        """Let a member stand aside until it answers."""
        self._failed_s[url] = self._monotonic()
        if url not in self._trials:
            self._trials[url] = asyncio.ensure_future(self._try_again(url))

    def answered(self, url: str) -> None:
        """Let a member take its place again."""
        self._failed_s.pop(url, None)

    async def read(self, path: str, body: Json, patience: Patience = QUICK) -> Json:
        """Ask for what changes nothing, of one member after another, side by side; raises ``unavailable``."""
        failures: list[str] = []
        try:
            async with asyncio.timeout(patience.answer_s):
                while True:
                    answer = await self._hedged(path, body, patience, failures)
                    if answer is not None:
                        return answer
                    await asyncio.sleep(ROUND_PAUSE_S)
        except TimeoutError as error:
            raise unavailable(f"etcd does not answer ({_last_of(failures)})") from error

    async def write(self, path: str, body: Json) -> Json:
        """Ask for what must not be done twice; raises ``unavailable``, saying whether it may have been done."""
        failures: list[str] = []
        deadline_s = self._monotonic() + ANSWER_S
        while True:
            for url in self.in_order():
                try:
                    left_s = max(ROUND_PAUSE_S, deadline_s - self._monotonic())
                    answer = await self.ask(url, path, body, timeout_s=min(ASK_S, left_s))
                except FAILURES as error:
                    self.failed(url)
                    failures.append(_told(url, error))
                    if not _surely_not_taken_up(error):
                        raise unavailable(
                            f"whether etcd wrote it is not known ({failures[-1]}); read before trying again"
                        ) from error
                else:
                    self.answered(url)
                    return answer
                if self._monotonic() + ROUND_PAUSE_S >= deadline_s:
                    raise unavailable(f"etcd does not answer ({_last_of(failures)}); nothing was written")
            await asyncio.sleep(ROUND_PAUSE_S)

    async def ask(self, url: str, path: str, body: Json, *, timeout_s: float = ASK_S) -> Json:
        """Ask one member; raises one of ``FAILURES``."""
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        async with self._session().post(url + path, json=body, timeout=timeout) as answer:
            try:
                told: Json = msgspec.json.decode(await read_body(answer.content, ANSWER_BYTES_MAX))
            except BodyTooLarge as error:
                raise Refused(f"its answer cannot be read: {error}") from None
            if answer.status != 200:
                raise Refused(str(told.get("error", answer.status)))
            return told

    @contextlib.asynccontextmanager
    async def stream(self, url: str, path: str, body: Json) -> AsyncIterator[aiohttp.StreamReader]:
        """Ask one member for an answer without an end, which must begin within ``ASK_S``."""
        async with asyncio.timeout(ASK_S):
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
            answer = await self._session().post(url + path, json=body, timeout=timeout)
        try:
            yield answer.content
        finally:
            answer.close()

    async def close(self) -> None:
        """End the trials and close the connections."""
        trials = list(self._trials.values())
        for trial in trials:
            trial.cancel()
        await asyncio.gather(*trials, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def _hedged(self, path: str, body: Json, patience: Patience, failures: list[str]) -> Json | None:
        """Ask every member once, each after its predecessor failed or was silent; ``None`` if all of them failed."""
        waiting = self.in_order()
        asked: dict[asyncio.Task[Json], str] = {}  # in the order in which they were asked
        try:
            while waiting or asked:
                if waiting:
                    url = waiting.pop(0)
                    asking = asyncio.ensure_future(self.ask(url, path, body, timeout_s=patience.ask_s))
                    asked[asking] = url
                done, _ = await asyncio.wait(
                    asked, timeout=patience.hedge_s if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    error = task.exception()
                    if error is None:
                        self._overtook(asked, task)
                        return task.result()
                    url = asked.pop(task)
                    if not isinstance(error, FAILURES):
                        raise error
                    self.failed(url)
                    failures.append(_told(url, error))
            return None
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    def _overtook(self, asked: dict[asyncio.Task[Json], str], first: asyncio.Task[Json]) -> None:
        """Whoever was asked before the one that answered, and is silent still, stands aside."""
        for task, url in asked.items():
            if task is first:
                self.answered(url)
                return
            if not task.done():
                self.failed(url)

    async def _try_again(self, url: str) -> None:
        try:
            while url in self._failed_s:
                await asyncio.sleep(ASIDE_S)
                with contextlib.suppress(*FAILURES):
                    await self.ask(url, "/v3/kv/range", ANY_REVISION)
                    self.answered(url)
        finally:
            self._trials.pop(url, None)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(headers=_NEEDS_LEADER)
        return self._http


def unavailable(reason: str) -> TransientError:
    """Build the error of a store that cannot be reached."""
    return retry("control_store_unavailable", reason, retry_after_s=1.0)


def _surely_not_taken_up(error: BaseException) -> bool:
    if isinstance(error, Refused):
        return any(said in str(error) for said in _NOT_TAKEN_UP)
    return isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def _told(url: str, error: BaseException) -> str:
    return f"{url}: {error if isinstance(error, Refused) else why_no_answer(error)}"


def _last_of(failures: list[str]) -> str:
    """The last failure of each member, not the same one again and again."""
    return "; ".join(dict.fromkeys(reversed(failures[-6:]))) or "all are silent"
