"""Disk full: a file takes every byte that is left where the region's data is, and is deleted later.

It works only where the region's directory is a small file system of its own: nothing else may lose its disk by a drill.
PostgreSQL goes on for as long as it needs no new page or log segment, then refuses writes, or ends in a panic.
"""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path

from intelgraph.fleet.layout.places import Fleet
from intelgraph.model.errors import refuse

SIZE_MAX = 2 * 1024**3
_FILLER = "drill-filler"
_CHUNK = 1024 * 1024
_ROOM_BYTES = 64 * 1024
_FULL_WITHIN_S = 30.0


@dataclass(kw_only=True)
class DiskFull:
    """The filler is a file, so whoever heals needs to remember nothing."""

    fleet: Fleet
    region: str
    name: str = "disk-full"
    loses_region: bool = True

    @property
    def _place(self) -> Path:
        return self.fleet.region(self.region)

    def missing(self) -> str | None:
        """It takes a file system of the region's own, small enough to be filled in seconds."""
        place = self._place
        how = (
            f"before `intelgraph up`, as root on Linux: `mkdir -p {place} && mount -t tmpfs -o size=768m tmpfs {place}`"
        )
        if not place.is_dir() or not os.path.ismount(place):
            return f"the data of {self.region} is not on a file system of its own, and no other may be filled: {how}"
        found = os.statvfs(place)
        size = found.f_frsize * found.f_blocks
        if size > SIZE_MAX:
            return (
                f"the file system of {self.region} has {size / 1e9:.1f} GB: a drill fills {SIZE_MAX / 1e9:.1f} GB at "
                f"most; {how}"
            )
        return None

    def inject(self, dead_man_s: float) -> str:
        """Write until nothing more can be written, in ever smaller pieces, then try to write beside it."""
        why = self.missing()
        if why is not None:
            raise refuse("fault_not_injected", why)
        until_s = time.monotonic() + _FULL_WITHIN_S
        while time.monotonic() < until_s:
            size = self._fill()
            left = self._left()
            refusal = self._refused_write()
            if refusal is not None:
                return (
                    f"{size / 1e6:.0f} MB were written to {self._place / _FILLER}; {left} bytes are left; a write of "
                    f"{_ROOM_BYTES} bytes beside it: {refusal}"
                )
        raise refuse("fault_not_injected", f"the disk of {self.region} is not full: {self._left()} bytes are left")

    def heal(self) -> str:
        """Delete the filler, and write where nothing could be written."""
        (self._place / _FILLER).unlink(missing_ok=True)
        refusal = self._refused_write()
        if refusal is not None:
            raise refuse("fault_not_healed", f"the disk of {self.region} is still full: {refusal}")
        return f"{self._left() / 1e6:.0f} MB are free where the data of {self.region} is, and a write succeeded"

    def _fill(self) -> int:
        descriptor = os.open(self._place / _FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            piece = _CHUNK
            while piece:
                try:
                    os.write(descriptor, bytes(piece))
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    piece //= 4
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def _left(self) -> int:
        found = os.statvfs(self._place)
        return found.f_frsize * found.f_bavail

    def _refused_write(self) -> str | None:
        """What the system says to a write beside the filler; none if it succeeds. Nothing of it is left."""
        probe = self._place / f"{_FILLER}.probe"
        try:
            probe.write_bytes(bytes(_ROOM_BYTES))
        except OSError as error:
            return error.strerror or str(error)
        finally:
            probe.unlink(missing_ok=True)
        return None
