"""How much of what was sent lies in this machine's kernel, because the client's has not taken it."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios


def unacknowledged(transport: asyncio.Transport) -> int:
    """Return how many bytes lie in the kernel that the client's has not taken; 0 where nobody can say."""
    found = transport.get_extra_info("socket")
    try:
        answer = fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, AttributeError, ValueError):
        return 0
    return int(struct.unpack("i", answer)[0])
