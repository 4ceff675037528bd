"""A file that a person named, written so that nothing but its content changes.

A regular file takes its new content whole or not at all; its mode, its owner and its extended attributes (an access
control list is one) stay, and a link keeps pointing where it does. What is no regular file (a device, a pipe,
``/dev/stdout``, ``/dev/fd/3``) is written through: nothing takes its place. A file that cannot be replaced by another
(it has several names, it is a mount, or an attribute cannot be given to another file) is written in place at the end.
What fails raises ``OSError``: what to say of it is the caller's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

_LINKS_MAX = 40
_DESCRIPTOR_DIGITS_MAX = 9
"""No descriptor has more: it is a C int."""
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self|[0-9]+))/fd/([0-9]+)")


def check_writable(path: Path) -> None:
    """Raise what writing ``path`` would, as far as that can be seen, without touching it."""
    target = _target(path)
    if isinstance(target, int):
        return
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if target.exists():
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return
    parent = target.parent
    if not parent.is_dir():
        missing = errno.ENOTDIR if parent.exists() else errno.ENOENT
        raise OSError(missing, os.strerror(missing), str(path))
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """What is written here is ``path``'s content when the block ends; an error leaves a regular file as it was."""
    target = _target(path)
    if isinstance(target, int):
        with os.fdopen(os.dup(target), "wb") as stream:
            yield stream
        return
    before = target.stat() if target.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with target.open("wb") as stream:
            yield stream
        return
    if before is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    with _draft(target, before) as (draft, stream):
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
        _take_place(draft, stream, target, before)


def _target(path: Path) -> Path | int:
    """Where ``path`` leads: a file descriptor of this process, or the file at the end of its links."""
    here = path.absolute()
    for _ in range(_LINKS_MAX):
        found = _DESCRIPTOR.fullmatch(str(here))
        if found is not None and _is_own(here):
            if len(found[1]) > _DESCRIPTOR_DIGITS_MAX:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF), str(path))
            return int(found[1])
        if not here.is_symlink():
            return here
        led = here.parent.resolve() / here.readlink()
        here = led if _DESCRIPTOR.fullmatch(str(led)) else _as_the_kernel_has_it(led)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _as_the_kernel_has_it(path: Path) -> Path:
    """``path`` without ``..``, each of which goes up from where the links before it lead."""
    return path.resolve() if path.name == ".." else path.parent.resolve() / path.name


def _is_own(path: Path) -> bool:
    process = path.parts[2]
    return process in ("fd", "self", "thread-self", str(os.getpid()))


@contextlib.contextmanager
def _draft(target: Path, before: os.stat_result | None) -> Iterator[tuple[Path | None, BinaryIO]]:
    """A file beside the target, for its content until that is whole; where there can be none, one without a name."""
    draft = target.parent / f".intelgraph-{secrets.token_hex(8)}.part"
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except PermissionError:
        if before is None:
            raise
        with tempfile.TemporaryFile() as unnamed:
            yield None, cast(BinaryIO, unnamed)
        return
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield draft, stream
    finally:
        draft.unlink(missing_ok=True)


def _take_place(draft: Path | None, stream: BinaryIO, target: Path, before: os.stat_result | None) -> None:
    """Give the target the draft's content: by its name where that changes nothing else, otherwise byte by byte."""
    if draft is not None and (before is None or before.st_nlink == 1):
        if before is None:
            os.fchmod(stream.fileno(), 0o666 & ~_umask())
        elif _keeps_owner(stream, before) and _keeps_attributes(stream, target):
            os.fchmod(stream.fileno(), stat.S_IMODE(before.st_mode))
        else:
            draft = None
        with contextlib.suppress(OSError):  # a mount cannot be replaced
            if draft is not None:
                draft.replace(target)
                return
        if before is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
    stream.seek(0)
    with target.open("r+b") as whole:
        shutil.copyfileobj(stream, whole)
        whole.truncate()
        whole.flush()
        os.fsync(whole.fileno())


def _keeps_owner(stream: BinaryIO, before: os.stat_result) -> bool:
    made = os.fstat(stream.fileno())
    if (made.st_uid, made.st_gid) == (before.st_uid, before.st_gid):
        return True
    try:
        os.fchown(stream.fileno(), before.st_uid, before.st_gid)
    except OSError:
        return False
    return True


def _keeps_attributes(stream: BinaryIO, target: Path) -> bool:
    """Give the draft the target's extended attributes, and no others; where there are none, it has them already."""
    if not hasattr(os, "listxattr"):
        return True
    try:
        before, made = _attributes(target), _attributes(stream.fileno())
        for name, value in before.items():
            if made.get(name) != value:
                os.setxattr(stream.fileno(), name, value)
        for name in made.keys() - before.keys():
            os.removexattr(stream.fileno(), name)
    except OSError:
        return False
    return True


def _attributes(file: Path | int) -> dict[str, bytes]:
    try:
        names = os.listxattr(file)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {name: os.getxattr(file, name) for name in names}


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
