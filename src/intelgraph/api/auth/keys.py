"""The issuer's public keys: a JSON Web Key Set from a file or an https URL, cached.

Guarantees: only asymmetric keys are taken, each by itself: one that is not understood costs its own tokens alone and is
counted. Keys may share an id, or have none: ``KEYS_OF_ID_MAX`` of them are tried. The set is read again every
``REREAD_S``, so that a key that was withdrawn is forgotten; a key id that is not known makes it be read at once, at
most once in ``REREAD_MIN_S``, so that a new key is found and a flood of made-up ids costs nothing; a set that cannot be
read again is believed for ``STALE_MAX_S``. ``why_limited`` says what is amiss meanwhile. A body is read to its end and
has a limit, and no redirect leaves https. Tokens do not belong here (``authentication``).
"""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import jwt
import orjson
from cryptography.exceptions import UnsupportedAlgorithm

from intelgraph.http_body import BodyTooLarge, read_body
from intelgraph.model.errors import retry

ALGORITHMS = ("EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
REREAD_MIN_S = 2.0
REREAD_S = 60.0
STALE_MAX_S = 3_600.0
OLD_S = 3 * REREAD_S
"""From this age on a set is called old: some readings of it have failed."""
KEYS_OF_ID_MAX = 4
"""So many signatures at most are verified for one token, whoever made it up."""
_FETCH_TIMEOUT_S = 5.0
_BYTES_MAX = 1_000_000
_REDIRECTS_MAX = 3
_NOT_UNDERSTOOD = (
    jwt.PyJWTError,
    UnsupportedAlgorithm,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
)


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What a set holds: the keys that verify, by their id (``None``: without one), and how many others of each kind.

    ``passed_over``: symmetric, or not for signatures. ``too_many``: beyond ``KEYS_OF_ID_MAX`` of one id.
    """

    keys: dict[str | None, tuple[jwt.PyJWK, ...]] = field(default_factory=dict)
    not_understood: int = 0
    passed_over: int = 0
    too_many: int = 0

    def why_limited(self) -> str | None:
        """Say that no key verifies, or that some are not understood or not used; nothing where that is no fault."""
        found = sum(len(keys) for keys in self.keys.values())
        if not found:
            lacking = (
                f"{self.not_understood} are not understood, {self.passed_over} are symmetric or not for signatures"
            )
            return f"no key of the token issuer verifies: of its keys {lacking}; no token is believed"
        if self.not_understood:
            return f"{self.not_understood} keys of the token issuer are not understood, and {found} are"
        if self.too_many:
            shared = f"the token issuer has more than {KEYS_OF_ID_MAX} keys of one id, or without an id"
            return f"{shared}: {self.too_many} are not used, and {found} are"
        return None


class KeySet:
    """Keys by their id. ``version`` rises whenever the set changes: what was verified by it is to be forgotten then."""

    def __init__(self, source: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._parsed = Parsed()
        self._raw: bytes | None = None
        self._failed: str | None = "it was not read yet"
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()
        self.version = 0

    async def find(self, kid: str | None) -> tuple[jwt.PyJWK, ...]:
        """Return the keys of an id, which may be none; ``keys_unavailable`` if nobody can say."""
        if kid not in self._parsed.keys:
            await self._reread()
        if self._monotonic() - self._read_at > STALE_MAX_S:
            raise retry(
                "keys_unavailable",
                "the request is refused: the token issuer's keys cannot be read, and an unverified token means no",
                retry_after_s=REREAD_MIN_S,
            )
        return self._parsed.keys.get(kid, ())

    def why_limited(self) -> str | None:
        """Say what is amiss with the set: it cannot be read, it is old, or keys of it do not verify; or nothing."""
        age_s = self._monotonic() - self._read_at
        if self._raw is None:
            return f"the token issuer's keys cannot be read: {self._failed}; no token is believed"
        if age_s > OLD_S and self._parsed.keys:
            believed = f"they are believed for {STALE_MAX_S:g} s"
            return f"the token issuer's keys are {age_s:.0f} s old; {believed}: {self._failed or 'nobody read them'}"
        return self._parsed.why_limited()

    async def run(self) -> None:
        """Read the set again for ever; soon, as long as it was never read."""
        while True:
            await self._reread()
            await asyncio.sleep(REREAD_MIN_S if self._raw is None else REREAD_S)

    async def _reread(self) -> None:
        async with self._lock:
            if self._monotonic() - self._tried_at < REREAD_MIN_S:
                return
            try:
                raw = await self._fetch()
                parsed = parse(raw)
            except (OSError, ValueError, aiohttp.ClientError) as error:
                self._failed = str(error)[:200] or type(error).__name__
                return
            finally:
                self._tried_at = self._monotonic()  # from its end: whoever waited meanwhile does not ask again
            self._read_at, self._failed = self._monotonic(), None
            if raw != self._raw:
                self._raw, self._parsed = raw, parsed
                self.version += 1

    async def _fetch(self) -> bytes:
        if urlsplit(self._source).scheme.lower() != "https":
            return await asyncio.to_thread(_read_file, Path(self._source))
        timeout = aiohttp.ClientTimeout(total=_FETCH_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            url = self._source
            for _ in range(_REDIRECTS_MAX + 1):
                async with session.get(url, allow_redirects=False) as answer:
                    if answer.status not in (301, 302, 303, 307, 308):
                        answer.raise_for_status()
                        return await read_body(answer.content, _BYTES_MAX)
                    url = next_url(url, answer.headers.get("Location"))
        raise ValueError(f"it redirects more than {_REDIRECTS_MAX} times")


def next_url(url: str, location: str | None) -> str:
    """Where a redirect of ``url`` leads; ``ValueError`` where that is not https."""
    target = urljoin(url, location or "")
    if not location or urlsplit(target).scheme.lower() != "https":
        raise ValueError("it redirects to what is not https")
    return target


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        raw = file.read(_BYTES_MAX + 1)
    if len(raw) > _BYTES_MAX:
        raise BodyTooLarge(_BYTES_MAX)
    return raw


def parse(raw: bytes) -> Parsed:
    """Read a set; ``ValueError`` where it is none. What is one of its keys and not understood costs only itself."""
    given = orjson.loads(raw.removeprefix(codecs.BOM_UTF8))
    items = given.get("keys") if isinstance(given, dict) else None
    if not isinstance(items, list):
        raise ValueError("it is not a JSON Web Key Set")
    keys: dict[str | None, tuple[jwt.PyJWK, ...]] = {}
    not_understood = passed_over = too_many = 0
    for item in items:
        if _is_not_for_signatures(item):
            passed_over += 1
            continue
        key = _key(item)
        if key is None:
            not_understood += 1
            continue
        before = keys.get(item.get("kid"), ())
        if len(before) < KEYS_OF_ID_MAX:
            keys[item.get("kid")] = (*before, key)
        else:
            too_many += 1
    return Parsed(keys=keys, not_understood=not_understood, passed_over=passed_over, too_many=too_many)


def _is_not_for_signatures(item: Any) -> bool:
    """Whether it is a key that is well and verifies nothing here; a ``use`` of null is none, as with other members."""
    if not isinstance(item, dict):
        return False
    use = item.get("use")
    return item.get("kty") == "oct" or (isinstance(use, str) and use != "sig")


def _key(item: Any) -> jwt.PyJWK | None:
    """One key that verifies; nothing where its kind, its algorithm, its use or its id is not understood."""
    if not isinstance(item, dict) or not all(isinstance(item.get(name), str | None) for name in ("kid", "use")):
        return None
    try:
        key = jwt.PyJWK(item)
    except _NOT_UNDERSTOOD:
        return None
    return key if key.algorithm_name in ALGORITHMS else None
