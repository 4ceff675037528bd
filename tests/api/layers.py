"""The three layers that a client may meet: a real worker, its region's edge, the global edge before that."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from intelgraph.fleet.edge.envoy import Json, Upstream, global_edge, region_edge
from intelgraph.fleet.layout.binaries import envoy_program
from intelgraph.fleet.layout.ports import free_ports
from intelgraph.fleet.supervisor.process import Launch, start

from .site import Site

LAYERS = ("worker", "region's edge", "global edge")
START_S = 30.0


@dataclass(frozen=True)
class Answer:
    """One answer, as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of a refusal, wherever its form has it."""
        with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
            members = json.loads(self.body)
            return str(members["code"] if "code" in members else members["errors"][0]["extensions"]["code"])
        return None


@dataclass(frozen=True)
class Layers:
    """The layers' ports; ``peers`` is where other regions reach the region's edge."""

    ports: dict[str, int]
    peers: int

    def ask(self, layer: str, raw: bytes, *, timeout_s: float = 30.0) -> Answer:
        """Send bytes, and read one answer until it is whole or the connection ends."""
        return ask(self.ports[layer], raw, timeout_s=timeout_s)


def ask(port: int, raw: bytes, *, timeout_s: float = 30.0) -> Answer:
    """Send bytes to a port, and read one answer."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=timeout_s)) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(raw)
        file = connection.makefile("rb")
        status = file.readline()
        headers: dict[str, str] = {}
        while line := file.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if raw.startswith(b"HEAD "):
            return Answer(int(status[9:12]), headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(file.readline(), 16):
                body += file.read(size)
                file.readline()
            return Answer(int(status[9:12]), headers, body)
        return Answer(int(status[9:12]), headers, file.read(int(headers.get("content-length", 0))))


@contextlib.contextmanager
def layers_before(site: Site, place: Path) -> Iterator[Layers]:
    """Start both edges in front of ``us-east``'s worker."""
    edge, peers, globe = free_ports(3)
    api = Upstream(name="us-east", port=site.us.config.api_port)
    with ExitStack() as stack:
        region = region_edge(port=edge, peers_port=peers, admin_socket=str(place / "edge.sock"), api=api)
        in_front = global_edge(
            port=globe, admin_socket=str(place / "globe.sock"), edges=[Upstream(name="us-east", port=edge)]
        )
        stack.enter_context(_envoy(place, "edge", region))
        stack.enter_context(_envoy(place, "globe", in_front))
        layers = Layers(ports=dict(zip(LAYERS, (site.us.config.api_port, edge, globe), strict=True)), peers=peers)
        until = time.monotonic() + START_S
        while not _is_ready(globe):
            assert time.monotonic() < until, (place / "globe.log").read_text() + (place / "edge.log").read_text()
            time.sleep(0.05)
        yield layers


def _is_ready(port: int) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return ask(port, b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n", timeout_s=5).status == 200
    return False


@contextlib.contextmanager
def _envoy(place: Path, name: str, config: Json) -> Iterator[None]:
    file = place / f"{name}.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    command = (str(envoy_program()), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
    process = start(
        Launch(command=command, directory=place, log=place / f"{name}.log", environment=dict(os.environ), mark="test")
    )
    try:
        yield
    finally:
        process.send(signal.SIGKILL)
        process.reap()
