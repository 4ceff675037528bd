"""Asks a running WAN relay what it does, or to do something else; and writes the settings it starts with."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import msgspec

from intelgraph.fleet.layout.places import Fleet
from intelgraph.fleet.layout.topology import Link, carried, reached, wan_port
from intelgraph.fleet.wan.listener import LinkConfig, Listener, Refused, Report
from intelgraph.fleet.wan.settings import Ask
from intelgraph.model.errors import refuse, retry
from intelgraph.runtime.whole_file import write_whole

_ANSWER_TIMEOUT_S = 5.0


def config_path(fleet: Fleet, link: Link) -> Path:
    """Where a relay's settings are."""
    return fleet.common / "wan" / f"{link.name}.json"


def kept_path(fleet: Fleet, link: Link) -> Path:
    """Where a relay keeps what it was asked at run time."""
    return fleet.common / "wan" / f"{link.name}.kept.json"


def write_config(fleet: Fleet, link: Link) -> Path:
    """Write what the relay of ``link`` listens to; returns the file."""
    path = config_path(fleet, link)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    listeners = [
        Listener(
            source=source,
            port=fleet.ports[wan_port(source, target, part)],
            target_port=fleet.ports[f"{target}/{reached(part)}"],
        )
        for source, target in ((link.a, link.b), (link.b, link.a))
        for part in carried(fleet.topology, source, target)
    ]
    config = LinkConfig(
        a=link.a,
        b=link.b,
        default_delay_ms=link.delay_ms,
        listeners=listeners,
        socket=str(fleet.wan_socket(link.name)),
        kept=str(kept_path(fleet, link)),
    )
    write_whole(path, msgspec.json.format(msgspec.json.encode(config), indent=2))
    return path


def ask(fleet: Fleet, link: Link, request: Ask | None = None) -> Report:
    """Send a request, or just look; refuses when the relay does not run or does not obey."""
    try:
        answer = _exchange(fleet.wan_socket(link.name), msgspec.json.encode(request or Ask()))
    except OSError as error:
        raise retry(
            "wan_not_running",
            f"the link between {link.a} and {link.b} cannot be asked: its relay does not answer ({error})",
            retry_after_s=1.0,
        ) from error
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(answer, type=Report)
    try:
        refused = msgspec.json.decode(answer, type=Refused)
    except msgspec.DecodeError as error:
        raise refuse(
            "wan_not_understood",
            f"the answer of the link between {link.a} and {link.b} is not understood ({error}): its relay is of "
            f"another release; `intelgraph restart wan:{link.name}` puts this one in its place",
        ) from error
    raise refuse(refused.code, refused.reason)


def _exchange(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(_ANSWER_TIMEOUT_S)
        channel.connect(str(path))
        channel.sendall(line + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = channel.recv(65_536)
            if not part:
                raise ConnectionError("it closed the connection")
            answer += part
        return answer
