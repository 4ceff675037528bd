"""Regions for tests of the API: real PostgreSQL, real feed and API processes, a real token issuer.

``two_regions`` yields ``us-east`` and ``eu-west``, linked, with their APIs and feeds running and these placements:

- ``both`` (us-east and eu-west, home us-east, durability home): tenants ``acme``, ``globex``, ``cyberdyne``,
  ``tyrell``, and those of one test module each (``umbrella``, ``wonka``, ``soylent``, ``massive``,
  ``weyland``)
- ``sure`` (the same with durability remote): tenant ``initech``
- ``europe`` (eu-west alone): tenant ``hooli``
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import jwt
import psutil
import requests
from cryptography.hazmat.primitives import serialization

from bench.scratch import Scratch, start_scratch
from intelgraph.changelog import links
from intelgraph.changelog.install import install_schema
from intelgraph.control import issuer
from intelgraph.control.agent.controller.opening import open_epoch
from intelgraph.control.directory.placements import Directory
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.model.placement import Durability, Placement, Tenant
from intelgraph.settings import ApiPolicy, Issuer, Peer, RegionConfig, SqliteControl, dump_region_config
from tests.machine import WAIT_S, is_over

READY_TIMEOUT_S = WAIT_S
US, EU = "us-east", "eu-west"
PLACEMENTS = {
    "both": Placement(id="both", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.HOME),
    "sure": Placement(id="sure", home=US, standby=EU, regions=(US, EU), epoch=1, durability=Durability.REMOTE),
    "europe": Placement(id="europe", home=EU, standby=None, regions=(EU,), epoch=1, durability=Durability.HOME),
}
TENANTS = {
    "acme": "both",
    "globex": "both",
    "cyberdyne": "both",
    "tyrell": "both",
    "umbrella": "both",
    "wonka": "both",
    "soylent": "both",
    "massive": "both",
    "weyland": "both",
    "initech": "sure",
    "hooli": "europe",
}


class TokenIssuer:
    """The local issuer of a state directory, and a way to sign claims that it never would."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.jwks = issuer.ensure_key(state)
        self.kid = json.loads(self.jwks.read_text())["keys"][0]["kid"]
        pem = (issuer.key_directory(state) / "private.pem").read_bytes()
        self.key = serialization.load_pem_private_key(pem, password=None)

    def claims(self, tenant: str, role: str = "writer", *, ttl_s: float = 600) -> dict[str, Any]:
        """The claims of a good token."""
        now = int(time.time())
        life = {"iat": now, "nbf": now, "exp": int(now + ttl_s)}
        return {"iss": issuer.ISSUER, "aud": issuer.AUDIENCE, "tenant": tenant, "role": role, **life}

    def sign(self, claims: dict[str, Any]) -> str:
        """Sign any claims with the published key."""
        return jwt.encode(claims, self.key, algorithm="EdDSA", headers={"kid": self.kid})

    def token(self, tenant: str, role: str = "writer", *, ttl_s: float = 600) -> str:
        """A good token."""
        return self.sign(self.claims(tenant, role, ttl_s=ttl_s))


@dataclass(kw_only=True)
class Region:
    """One region: its PostgreSQL, settings file, and the processes that were started for it."""

    name: str
    postgres: Scratch
    config: RegionConfig
    config_path: Path
    log_path: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.config.api_host}:{self.config.api_port}"

    def metrics(self) -> str:
        """What the workers counted up to now, as Prometheus reads it.

        The process that answers starts beside the workers and yields to others: it may come after they are ready.
        """
        url = f"http://{self.config.api_host}:{self.config.metrics_port}/metrics"
        began_s = time.monotonic()
        while True:
            try:
                answer = requests.get(url, timeout=WAIT_S)
            except requests.ConnectionError:
                assert not is_over(WAIT_S, began_s), f"nothing answers at {url}"
                time.sleep(0.05)
            else:
                assert answer.status_code == 200, answer.text
                return answer.text

    def start(self, part: str, *arguments: str) -> None:
        """Start ``api``, ``feed`` or ``agent``."""
        module = {
            "api": "intelgraph.api",
            "feed": "intelgraph.changelog.feed",
            "agent": "intelgraph.control.agent",
        }[part]
        with self.log_path.open("ab") as log:
            self.processes[part] = subprocess.Popen(
                [sys.executable, "-m", module, "--config", str(self.config_path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, part: str) -> None:
        """Stop a part and its workers."""
        process = self.processes.pop(part, None)
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(8)

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        children = psutil.Process(self.processes["api"].pid).children()
        return [each for each in children if "intelgraph.exposition" not in each.cmdline()]

    def wait_ready(self, *, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until the API says that it can serve."""
        until = time.monotonic() + timeout_s
        said = "nothing"
        while time.monotonic() < until:
            with contextlib.suppress(requests.RequestException):
                answer = requests.get(self.url + "/readyz", timeout=2)
                if answer.status_code == 200:
                    return
                said = answer.text
            time.sleep(0.05)
        raise AssertionError(f"{self.name} is not ready: {said}; {self.log_path.read_text()[-2000:]}")

    def sql(self, statement: str, *arguments: object, role: str = "ig_admin") -> Any:
        """Ask this region's database for one value."""

        async def ask() -> Any:
            connection = await asyncpg.connect(**self.postgres.connect_arguments(role))
            try:
                return await connection.fetchval(statement, *arguments)
            finally:
                await connection.close()

        return asyncio.run(ask())


@dataclass(kw_only=True)
class Site:
    """Regions, their issuer and their control store."""

    regions: dict[str, Region]
    issuer: TokenIssuer
    control: Path
    directory: Path

    @property
    def us(self) -> Region:
        return self.regions[US]

    @property
    def eu(self) -> Region:
        return self.regions[EU]

    def client(self, region: str = US, *, tenant: str = "acme", role: str = "writer") -> Client:
        """A client of one region's API with a good token."""
        return Client(self.regions[region].url, self.issuer.token(tenant, role))


class Client:
    """The API's requests, as an application makes them."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self.http = requests.Session()
        if token:
            self.http.headers["authorization"] = f"Bearer {token}"

    def write(self, *operations: dict[str, Any], key: str | None = None, **headers: str) -> requests.Response:
        """Write operations, under a key of their own by default."""
        return self.post(json.dumps({"operations": operations}).encode(), key=key, **headers)

    def post(self, body: bytes, *, key: str | None = None, **headers: str) -> requests.Response:
        """Send any body to be written."""
        sent = {"content-type": "application/json", "idempotency-key": key or str(uuid.uuid4()), **headers}
        return self.http.post(f"{self.url}/v1/changes", data=body, headers=sent, timeout=WAIT_S)

    def entity(self, entity_id: str, bookmark: str | None = None) -> requests.Response:
        """Read an entity, with a bookmark if one is given."""
        headers = {"ig-bookmark": bookmark} if bookmark else {}
        return self.get(f"/v1/entities/{quote(entity_id, safe='')}", headers)

    def get(self, path: str, headers: dict[str, str] | None = None) -> requests.Response:
        """Read any path."""
        return self.http.get(self.url + path, headers=headers, timeout=WAIT_S)


def entity(entity_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """The operation that writes a small entity."""
    given = {"id": entity_id or f"e-{uuid.uuid4()}", "type": "malware", "name": "Emotet", **fields}
    return {"op": "upsert_entity", "entity": given}


def relationship(source: str, target: str, relationship_id: str | None = None, **fields: Any) -> dict[str, Any]:
    """The operation that writes a small relationship."""
    given = {"id": relationship_id or f"r-{uuid.uuid4()}", "type": "uses", "source": source, "target": target, **fields}
    return {"op": "upsert_relationship", "relationship": given}


@contextlib.contextmanager
def two_regions(
    directory: Path,
    *,
    policy: ApiPolicy | None = None,
    feed: bool = True,
    settings: dict[str, str] | None = None,
    agents: bool = False,
) -> Iterator[Site]:
    """Yield the site described above; everything is stopped and removed at the end.

    ``settings``: PostgreSQL's. With ``agents`` each region has its agent, and its API acknowledges nothing without a
    grant.
    """
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(start_scratch(name=name, settings=settings)) for name in (US, EU)}
        # A socket's path is short, and a test's directory may not be.
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ig-run-"))) if agents else None
        site = _describe(directory, servers, policy or ApiPolicy(), sockets)
        for region in site.regions.values():
            for part in ("agent", "api", "feed"):
                stack.callback(region.stop, part)
        asyncio.run(_provision(site))
        for region in site.regions.values():
            region.start("api")
            if agents:
                region.start("agent")
            if feed:
                region.start("feed")
        for region in site.regions.values():
            region.wait_ready()
        yield site


def _describe(directory: Path, servers: dict[str, Scratch], policy: ApiPolicy, sockets: Path | None) -> Site:
    tokens = TokenIssuer(directory)
    free = iter(free_ports(2 * len(servers)))
    ports, metrics_ports = ({name: next(free) for name in servers} for _ in range(2))
    site = Site(regions={}, issuer=tokens, control=directory / "control.db", directory=directory)
    for name, server in servers.items():
        home = directory / "regions" / name
        home.mkdir(parents=True)
        config = RegionConfig(
            region=name,
            zone=name.partition("-")[0],
            directory=str(home),
            database=server.login("ig_api"),
            admin_database=server.login("ig_admin"),
            peers={
                other: Peer(database=peer.login("ig_peer"), api=f"http://127.0.0.1:{ports[other]}")
                for other, peer in servers.items()
                if other != name
            },
            control=SqliteControl(path=str(site.control)),
            issuer=Issuer(issuer=issuer.ISSUER, audience=issuer.AUDIENCE, jwks=str(tokens.jwks)),
            api_host="127.0.0.1",
            api_port=ports[name],
            metrics_port=metrics_ports[name],
            api=policy,
            agent_socket=str(sockets / f"{name}.sock") if sockets else "",
        )
        path = home / "region.json"
        path.write_bytes(dump_region_config(config))
        site.regions[name] = Region(
            name=name, postgres=server, config=config, config_path=path, log_path=home / "parts.log"
        )
    return site


async def _provision(site: Site) -> None:
    connections = {
        name: await asyncpg.connect(**region.postgres.connect_arguments()) for name, region in site.regions.items()
    }
    store = SqliteControlStore(site.control)
    try:
        for name, connection in connections.items():
            await install_schema(connection, region=name, peers=[other for other in site.regions if other != name])
        for here, there in ((US, EU), (EU, US)):
            await links.publish(connections[here], here=here, destination=there)
        for here, origin in ((US, EU), (EU, US)):
            login = site.regions[origin].postgres.login("ig_repl")
            parameters = {"user": login.user, "password": login.password, "dbname": login.database}
            await links.subscribe(
                connections[here],
                here=here,
                origin=origin,
                parameters={**parameters, "host": login.host, "port": login.port},
            )
        directory = Directory(store)
        for placement in PLACEMENTS.values():
            record = await directory.create_placement(placement)
            await open_epoch(record, site.regions[placement.home].config.admin_database)
        for tenant, placement_id in TENANTS.items():
            await directory.create_tenant(Tenant(id=tenant, placement=placement_id))
        for placement in PLACEMENTS.values():
            for region in placement.regions:
                await until_known(connections[region], placement.id)
    finally:
        await store.close()
        for connection in connections.values():
            await connection.close()


async def until_known(connection: asyncpg.Connection, placement: str) -> None:
    """Wait until a region's database has the row that opened a placement's epoch."""
    async with asyncio.timeout(READY_TIMEOUT_S):
        known = "select exists (select from ig.placement where id = $1)"
        while not await connection.fetchval(known, placement):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
