"""Whether something that speaks HTTP answers at a port of this machine: any answer counts."""

from __future__ import annotations

import socket
import time

_SILENT_S = 0.6
_AGAIN_S = 0.1


def answers_within(port: int, path: str, seconds: float = _SILENT_S) -> bool:
    """Whether a new connection has the first byte of an answer in time; what refuses or drops it is asked again."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=left_s) as channel:
                channel.settimeout(left_s)
                channel.sendall(b"GET %b HTTP/1.1\r\nhost: drill\r\nconnection: close\r\n\r\n" % path.encode("ascii"))
                if channel.recv(1):
                    return True
        except OSError:
            pass
        time.sleep(_AGAIN_S)
    return False
