"""What the acts use: ``intelgraph`` commands as the audience would type them, requests to the regions, and words.

What the audience is not shown is done by ``operations``, as its commands do it. How it is shown is the command line's
part (``Audience``).
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from intelgraph.model.actor import Actor
from intelgraph.operations.operator import Operator
from intelgraph.operations.site import the_site
from intelgraph.operations.tokens import renewed_token

_COMMAND_TIMEOUT_S = 300.0
INTERRUPTED = 130


class ActFailed(Exception):
    """Something the demo claims did not hold."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One door's answer."""

    status: int
    headers: dict[str, str]
    body: Any
    seconds: float


class Audience(Protocol):
    """Who watches: it is shown, or told, what comes."""

    def title(self, text: str) -> None:
        """An act begins."""
        ...

    def say(self, text: str) -> None:
        """Something is told."""
        ...

    def typed(self, command: str) -> None:
        """A command is typed."""
        ...

    def printed(self, line: str) -> None:
        """A command has printed a line."""
        ...

    def failed(self, text: str) -> None:
        """Something did not hold, or could not be done."""
        ...


@dataclass(kw_only=True)
class Stage:
    """The audience and the fleet. ``topology`` is passed to every command; ``actor`` does what is not shown."""

    audience: Audience
    topology: Path | None
    actor: Actor
    acts: int = 0
    _tokens: dict[str, Callable[[], str]] = field(default_factory=dict)

    def act(self, title: str) -> None:
        """Announce the next act."""
        self.acts += 1
        self.audience.title(f"{self.acts}. {title}")

    def say(self, text: str) -> None:
        """Tell the audience something."""
        self.audience.say(text)

    def run(self, *arguments: str, quiet: bool = False) -> str:
        """Type one ``intelgraph`` command, show it and its output, and return its output; its failure ends the demo."""
        if not quiet:
            self.audience.typed(shlex.join(("intelgraph", *arguments)))
        topology = ["--topology", str(self.topology)] if self.topology else []
        done = subprocess.run(
            [sys.executable, "-m", "intelgraph.cli.main", *arguments, *topology],
            stdout=subprocess.PIPE,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
        if not quiet:
            for line in done.stdout.splitlines():
                self.audience.printed(line)
        if done.returncode == INTERRUPTED:
            raise KeyboardInterrupt
        if done.returncode != 0:
            raise ActFailed(f"`{shlex.join(('intelgraph', *arguments))}` ended with {done.returncode}")
        return done.stdout

    @property
    def operator(self) -> Operator:
        """Who does what is not shown, in the fleet that is up."""
        return Operator(site=the_site(None, self.topology), actor=self.actor)

    def token(self, tenant: str) -> str:
        """A writer's token of a tenant."""
        if tenant not in self._tokens:
            self._tokens[tenant] = renewed_token(self.operator, tenant, "writer")
        return self._tokens[tenant]()

    async def write(self, http: aiohttp.ClientSession, url: str, tenant: str, entity: dict[str, Any]) -> Answered:
        """Write one entity."""
        return await self.send(
            http,
            "POST",
            f"{url}/v1/changes",
            tenant,
            body={"operations": [{"op": "upsert_entity", "entity": entity}]},
        )

    async def read(
        self, http: aiohttp.ClientSession, url: str, tenant: str, entity_id: str, bookmark: str | None = None
    ) -> Answered:
        """Read one entity, at a bookmark if given."""
        headers = {"IG-Bookmark": bookmark} if bookmark else {}
        return await self.send(http, "GET", f"{url}/v1/entities/{entity_id}", tenant, headers=headers)

    async def send(
        self,
        http: aiohttp.ClientSession,
        method: str,
        url: str,
        tenant: str,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answered:
        """Ask a door as a tenant."""
        sent = {"Authorization": f"Bearer {self.token(tenant)}", **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4()), **sent}
        began = time.monotonic()
        async with http.request(method, url, data=data, headers=sent) as answer:
            text = await answer.read()
            return Answered(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.headers.items()},
                body=json.loads(text) if text else None,
                seconds=time.monotonic() - began,
            )


def check(holds: bool, claim: str) -> None:
    """End the demo unless ``holds``."""
    if not holds:
        raise ActFailed(f"this did not hold: {claim}")
