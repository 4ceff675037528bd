"""TCP ports of this machine: which are free, and who holds one that is not."""

from __future__ import annotations

import contextlib
import random
import socket

import psutil

from intelgraph.model.errors import refuse

# Below the range from which operating systems draw the source ports of outgoing connections.
_FREE_FROM, _FREE_TO = 17_000, 31_999
_chance = random.SystemRandom()


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a listener could bind ``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int, *, taken: frozenset[int] = frozenset()) -> list[int]:
    """``count`` different free ports, none of them in ``taken``; another program may still be faster."""
    found: list[int] = []
    for _ in range(50 * count + 1_000):
        if len(found) == count:
            return found
        port = _chance.randrange(_FREE_FROM, _FREE_TO)
        if port not in taken and port not in found and is_free(port):
            found.append(port)
    raise refuse("no_free_port", f"{count} free ports between {_FREE_FROM} and {_FREE_TO} were not found")


def holder(port: int) -> str | None:
    """Who listens on ``port``, as "name (pid 123)"; ``None`` when that cannot be seen."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                with contextlib.suppress(psutil.Error):
                    return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
                return f"pid {connection.pid}"
    return None
