"""The error tree: what is wrong with a request or a part, and whether trying again can help.

``TransientError`` carries when to come back; ``PermanentError`` will fail again unchanged. A driver's own exceptions
are turned into these at the edge of the package that owns the driver, and go no further.

Every error can be shown as one ``Denied`` value: a stable ``code`` for machines, one sentence for people that states
the refusal, the fact and the limit, and the facts themselves. The sentence is the same in the API, the audit trail,
the CLI and the console, because all of them print this one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Fact = str | int | float | bool | None | list[str]


@dataclass(frozen=True, kw_only=True)
class Denied:
    """A refusal: ``code`` is snake_case and stable, ``reason`` one sentence, ``facts`` what it was decided on."""

    code: str
    reason: str
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.code.replace("_", "").isalnum() or self.code != self.code.lower():
            raise ValueError(f"a denial's code must be snake_case, not {self.code!r}")
        if not self.reason:
            raise ValueError(f"the denial {self.code} gives no reason")


class IntelGraphError(Exception):
    """Anything IntelGraph refuses or cannot do; ``denied`` is what to show."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(denied.reason)
        self.denied = denied


class PermanentError(IntelGraphError):
    """Trying the same again gives the same answer."""


class TransientError(IntelGraphError):
    """Trying again after ``retry_after_s`` seconds may succeed."""

    def __init__(self, denied: Denied, *, retry_after_s: float) -> None:
        super().__init__(denied)
        self.retry_after_s = retry_after_s


def what_failed(error: Exception) -> str:
    """What an error says of itself, as a clause for people: of the system's errors without number and file name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 at byte {error.start}"
    return str(error) or type(error).__name__


_NO_ANSWER = (
    (FileNotFoundError, "nobody listens there"),
    (ConnectionRefusedError, "connection refused"),
    (TimeoutError, "no answer in time"),
    (ConnectionError, "the connection broke off"),
)
_NAMED = {"InterfaceError": "the connection was closed", "InternalClientError": "the connection broke off"}
"""Of a database's driver, whose classes ``model`` does not know."""
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[0-9]+")


def why_no_answer(error: BaseException) -> str:
    """Why whoever was asked over a connection did not answer, as a clause for people.

    Of what a driver raises it is the name of its class in words, with the SQLSTATE where it has one: never its own
    text, which may hold what a tenant wrote.
    """
    behind = getattr(error, "os_error", error)  # an HTTP client's
    for kind, said in _NO_ANSWER:
        if isinstance(behind, kind):
            return said
    if isinstance(behind, OSError) and behind.strerror:
        return behind.strerror
    name = type(error).__name__
    if name in _NAMED:
        return _NAMED[name]
    words = " ".join(_WORD.findall(name.removesuffix("Error"))).lower() or "an error"
    state = getattr(error, "sqlstate", None)
    return f"{words}, SQLSTATE {state}" if state else words


def refuse(code: str, reason: str, **facts: Fact) -> PermanentError:
    """Build the permanent error of one refusal."""
    return PermanentError(Denied(code=code, reason=reason, facts=facts))


def retry(code: str, reason: str, *, retry_after_s: float, **facts: Fact) -> TransientError:
    """Build the transient error of one refusal."""
    return TransientError(Denied(code=code, reason=reason, facts=facts), retry_after_s=retry_after_s)
