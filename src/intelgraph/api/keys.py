"""The issuer's public keys: a JSON Web Key Set from a file or an https URL, cached.

Guarantees: only asymmetric keys are taken; the set is read again every ``REREAD_S``, so that a key that was withdrawn
is forgotten; a key id that is not known makes it be read at once, at most once in ``REREAD_MIN_S``, so that a new key
is found and a flood of made-up ids costs nothing; a set that cannot be read again is believed for ``STALE_MAX_S``.
Tokens do not belong here (``authentication``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import jwt
import orjson

from intelgraph.model.errors import retry

ALGORITHMS = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
REREAD_MIN_S = 2.0
REREAD_S = 60.0
STALE_MAX_S = 3_600.0
_FETCH_TIMEOUT_S = 5.0
_BYTES_MAX = 1_000_000


class KeySet:
    """Keys by their id. ``version`` rises whenever the set changes: what was verified by it is to be forgotten then."""

    def __init__(self, source: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._raw = b""
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()
        self.version = 0

    async def find(self, kid: str | None) -> jwt.PyJWK | None:
        """Return the key of an id, or ``None`` if the issuer has none; ``keys_unavailable`` if nobody can say."""
        if kid not in self._keys:
            await self._reread()
        if self._monotonic() - self._read_at > STALE_MAX_S:
            raise retry(
                "keys_unavailable",
                "the request is refused: the token issuer's keys cannot be read, and an unverified token means no",
                retry_after_s=REREAD_MIN_S,
            )
        return self._keys.get(kid)

    async def run(self) -> None:
        """Read the set again for ever."""
        while True:
            await self._reread()
            await asyncio.sleep(REREAD_S)

    async def _reread(self) -> None:
        async with self._lock:
            if self._monotonic() - self._tried_at < REREAD_MIN_S:
                return
            self._tried_at = self._monotonic()
            try:
                raw = await self._fetch()
                keys = _parse(raw)
            except (OSError, ValueError, KeyError, TypeError, aiohttp.ClientError, jwt.PyJWTError):
                return
            self._read_at = self._monotonic()
            if raw != self._raw:
                self._raw, self._keys = raw, keys
                self.version += 1

    async def _fetch(self) -> bytes:
        if not self._source.startswith("https://"):
            return await asyncio.to_thread(Path(self._source).read_bytes)
        timeout = aiohttp.ClientTimeout(total=_FETCH_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(self._source) as answer:
            answer.raise_for_status()
            return await answer.content.read(_BYTES_MAX)


def _parse(raw: bytes) -> dict[str | None, jwt.PyJWK]:
    keys: dict[str | None, jwt.PyJWK] = {}
    for item in orjson.loads(raw)["keys"]:
        if item.get("kty") == "oct" or item.get("use", "sig") != "sig":
            continue
        key = jwt.PyJWK(item)
        if key.algorithm_name in ALGORITHMS:
            keys[item.get("kid")] = key
    return keys
