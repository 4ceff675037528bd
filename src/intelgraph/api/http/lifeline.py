"""How workers learn that their server process is stopping or has died: a pipe that it holds open as long as it serves.

The server process keeps the only writing end. When it closes that end (it was told to stop) or dies (also by
``kill -9``), every worker's reading end reports the end of the pipe: streams are ended at once, and a worker that
nobody stops ends itself, so that the port is free again.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

_STOPPED_BY_SERVER_S = 0.5
_GRACE_S = 3.0


class Lifeline:
    """Made by the server process before it forks its workers."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self._cut = False

    def cut(self) -> None:
        """Tell every worker that the server process is stopping; again does nothing."""
        if not self._cut:
            self._cut = True
            os.close(self._writing)

    def hold(self, on_cut: Callable[[], None]) -> None:
        """Call in a worker, on its event loop: ``on_cut`` is called when the server process stops or has died."""
        os.close(self._writing)
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(self._reading)
            on_cut()
            loop.call_later(_STOPPED_BY_SERVER_S, os.kill, os.getpid(), signal.SIGTERM)
            loop.call_later(_GRACE_S, os._exit, 1)

        loop.add_reader(self._reading, ended)
