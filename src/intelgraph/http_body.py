"""The body of an answer that we asked for: read to its end, however many packets it comes in, and within a limit."""

from __future__ import annotations

import aiohttp


class BodyTooLarge(ValueError):
    """It has more bytes than are read; what was read is thrown away."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"it is larger than {bytes_max} bytes")
        self.bytes_max = bytes_max


async def read_body(content: aiohttp.StreamReader, bytes_max: int) -> bytes:
    """Return the whole body; raises ``BodyTooLarge`` as soon as it is."""
    parts, size = [], 0
    async for part in content.iter_any():
        size += len(part)
        if size > bytes_max:
            raise BodyTooLarge(bytes_max)
        parts.append(part)
    return b"".join(parts)
