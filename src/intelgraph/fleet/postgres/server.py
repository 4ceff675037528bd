"""One region's PostgreSQL: its settings, its creation, its command line, and whether it is ready.

Guarantees: only 127.0.0.1 and a private socket directory are listened on, every connection proves a random password
(SCRAM), and the server's log holds no statement text and no parameter. The bootstrap role ``ig_admin`` owns the
database and is a superuser: creating subscriptions, publications and always-firing triggers locally needs most of
its rights anyway. Who watches the process is the supervisor's business; what is in the database is the log's.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from intelgraph.connection import DRIVER_ERRORS, connect
from intelgraph.fleet.layout.binaries import Account, postgres_programs, server_account
from intelgraph.fleet.layout.places import Fleet
from intelgraph.model.errors import refuse
from intelgraph.runtime.whole_file import write_whole
from intelgraph.settings import Database

ADMIN, API, PEER, REPLICATION = "ig_admin", "ig_api", "ig_peer", "ig_repl"
ROLES = (ADMIN, API, PEER, REPLICATION)
DATABASE = "intelgraph"
_SOCKET_PATH_BYTES_MAX = 100
_INITDB_TIMEOUT_S = 120.0
_NOBODYS_PID = 2**31 - 1
"""More than any system gives out."""

SETTINGS: Mapping[str, str] = {
    # the log leaves by logical replication, in up to some 15 directions
    "wal_level": "logical",
    "max_wal_senders": "32",
    "max_replication_slots": "64",
    "max_active_replication_origins": "64",
    "max_logical_replication_workers": "32",
    "max_worker_processes": "40",
    "max_slot_wal_keep_size": "4GB",
    # a cut link is noticed and a healed one used again within seconds
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "500ms",
    # the apply worker commits asynchronously; each commit wakes the WAL writer at once, which flushes all there is, and
    # the worker looks this often whether that has happened
    "wal_writer_flush_after": "0",
    "wal_writer_delay": "2ms",
    "wal_sender_timeout": "10s",
    "wal_receiver_timeout": "10s",
    # a sender that is told to end says so to its peer first, and would wait for a silent one for ever, and a checkpoint
    # that wants its slot with it: bytes that nobody takes for this long end the connection (macOS has no such option)
    **({"tcp_user_timeout": "10s"} if sys.platform == "linux" else {}),
    # one append may lock some 3,000 objects
    "max_locks_per_transaction": "1024",
    # little memory: several servers share one machine
    "shared_buffers": "64MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "io_method": "sync",
    "jit": "off",
    # a session keeps the plan it made while a table was small: one that reads the whole table would get slower with
    # each row (an apply worker did); every query of the log has an index that was made for it
    "enable_seqscan": "off",
    "autovacuum_max_workers": "2",
    # until a table's first analyze a search reads all of its tenant; looking whether one is due takes milliseconds
    "autovacuum_naptime": "15s",
    # a killed server recovers within two seconds: little to replay
    "checkpoint_timeout": "60s",
    "checkpoint_completion_target": "0.5",
    "min_wal_size": "80MB",
    "max_wal_size": "256MB",
    # a search of every byte must be able to find what is there, and must not miss it inside compressed pages
    "wal_compression": "off",
    "track_commit_timestamp": "off",
    # the server's log holds no statement, no parameter, no detail of a row
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %b ",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "log_replication_commands": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
}


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where one PostgreSQL lives: ``directory`` holds ``data``, ``socket`` and ``secrets``; ``settings`` override."""

    directory: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.directory / "data"

    @property
    def socket_directory(self) -> Path | None:
        """The private socket directory, or ``None`` where its path would be too long for a socket."""
        path = self.directory / "socket"
        longest = len(os.fsencode(path / f".s.PGSQL.{self.port}"))
        return path if longest <= _SOCKET_PATH_BYTES_MAX else None

    @property
    def host(self) -> str:
        """What local clients connect to: the socket directory where there is one."""
        return str(self.socket_directory or "127.0.0.1")

    def password(self, role: str) -> str:
        """The password of a role, from its 0600 file."""
        return (self.directory / "secrets" / role).read_text(encoding="ascii")

    def login(self, role: str, *, host: str | None = None, port: int | None = None) -> Database:
        """How ``role`` logs in here, or through a relay at ``host`` and ``port``."""
        return Database(
            host=host or self.host,
            port=port or self.port,
            user=role,
            password=self.password(role),
            database=DATABASE,
        )


def server_of(fleet: Fleet, region: str) -> Server:
    """The server of a fleet's region."""
    return Server(
        directory=fleet.region(region) / "postgres",
        port=fleet.ports[f"{region}/postgres"],
        settings=fleet.topology.postgres_settings,
    )


def configuration(server: Server) -> str:
    """The text of ``postgresql.conf``."""
    listen = {
        "listen_addresses": "127.0.0.1",
        "port": str(server.port),
        "unix_socket_directories": str(server.socket_directory or ""),
        "unix_socket_permissions": "0700",
    }
    values = {**SETTINGS, **server.settings, **listen}
    lines = [f"{name} = '{_quoted(value)}'" for name, value in values.items()]
    return "# Written by `intelgraph up`; change [postgres.settings] of the topology file instead.\n" + "\n".join(
        [*lines, ""]
    )


def access_rules() -> str:
    """The text of ``pg_hba.conf``: a password always, over TCP only from this machine."""
    return "\n".join(
        [
            "# type  database     user  address       method",
            "local   all          all                 scram-sha-256",
            "host    all          all   127.0.0.1/32  scram-sha-256",
            "",
        ]
    )


def prepare(server: Server, *, durable: bool = True) -> None:
    """Create the cluster if there is none, and write its settings; blocks for about a second the first time.

    ``durable`` false skips flushing to disk, for servers that are thrown away.
    """
    account = server_account()
    _own_directories(server, account)
    for role in ROLES:
        _write_secret(server.directory / "secrets" / role)
    if not (server.data / "PG_VERSION").exists():
        _initialise(server, account, durable=durable)
    _write_owned(server.data / "postgresql.conf", configuration(server), account)
    _write_owned(server.data / "pg_hba.conf", access_rules(), account)
    if server.settings:
        _check_settings(server, account)


def command(server: Server) -> list[str]:
    """The command line of the server in the foreground, logging to standard error."""
    return [str(postgres_programs() / "postgres"), "-D", str(server.data)]


def server_environment() -> dict[str, str]:
    """The whole environment of a server process."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def says_ready(server: Server, pid: int) -> bool:
    """Whether the postmaster ``pid`` has written that it accepts connections (the last line of its pid file)."""
    try:
        lines = (server.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def forget_another(server: Server, seen: Sequence[str] | None) -> None:
    """Call the pid file's postmaster dead where ``seen``, the command line now under its pid, is another program's.

    A pid is given to others after a loss of power, or in a container that is started anew. PostgreSQL would take any
    process of its account for the postmaster, and never start. It still looks for sessions that were left, by the
    shared memory that the rest of the file names.
    """
    if seen is not None and tuple(seen) != tuple(command(server)):
        path = server.data / "postmaster.pid"
        _, _, rest = path.read_text(encoding="utf-8", errors="surrogateescape").partition("\n")
        text = f"{_NOBODYS_PID}\n{rest}".encode(errors="surrogateescape")
        account = server_account()
        write_whole(path, text, owner=None if account is None else (account.uid, account.gid))


def noted_pid(server: Server) -> int | None:
    """The pid that the last postmaster left; none where it ended in an orderly way, or the file says nothing."""
    try:
        return int((server.data / "postmaster.pid").read_bytes().split(b"\n", 1)[0])
    except (OSError, ValueError):
        return None


async def create_roles(server: Server) -> None:
    """Create the database and the roles of a running server; harmless when they exist."""
    login = server.login(ADMIN)
    first = Database(host=login.host, port=login.port, user=ADMIN, password=login.password, database="postgres")
    connection = await connect(first)
    try:
        if await connection.fetchval("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", DATABASE) is None:
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {ADMIN}")
    finally:
        await connection.close()
    sql = resources.files("intelgraph.fleet.postgres").joinpath("sql/roles.sql").read_text(encoding="utf-8")
    connection = await connect(login)
    try:
        for role in (API, PEER, REPLICATION):
            await connection.execute("SELECT set_config($1, $2, false)", f"ig_setup.{role}", server.password(role))
        await connection.execute(sql)
    finally:
        await connection.close()


async def answers(server: Server) -> bool:
    """Whether the server lets ``ig_admin`` in and answers a query."""
    try:
        login = server.login(ADMIN)
        connection = await connect(
            Database(host=login.host, port=login.port, user=ADMIN, password=login.password, database="postgres"),
            timeout_s=2.0,
        )
    except DRIVER_ERRORS:
        return False
    try:
        return bool(await asyncio.wait_for(connection.fetchval("SELECT true"), 2.0))
    except DRIVER_ERRORS:
        return False
    finally:
        connection.terminate()


def _check_settings(server: Server, account: Account | None) -> None:
    """Let PostgreSQL itself judge the settings, which may come from a file that a person wrote."""
    said = _run_as(account, [*command(server), "-C", "config_file"], server.directory)
    if said.returncode != 0:
        faults = [
            line.partition(":  ")[2] or line for line in said.stderr.splitlines() if "contains errors" not in line
        ]
        raise refuse(
            "bad_postgres_settings",
            f"PostgreSQL refuses its settings: {'; '.join(faults)}. See [postgres.settings] of the topology file",
        )


def _run_as(account: Account | None, arguments: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_INITDB_TIMEOUT_S,
        check=False,
        cwd=directory,
        env=server_environment(),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _initialise(server: Server, account: Account | None, *, durable: bool) -> None:
    if server.data.exists():  # creation renames a whole cluster into place: this is something else, perhaps precious
        raise refuse(
            "not_a_cluster",
            f"the PostgreSQL of {server.directory} is not started: {server.data} exists and has no PG_VERSION; "
            "restore it, or move it away to begin with an empty one",
        )
    staging = server.directory / "data.creating"
    shutil.rmtree(staging, ignore_errors=True)
    password = server.directory / "password.creating"
    _write_owned(password, server.password(ADMIN), account)
    arguments = [str(postgres_programs() / "initdb"), "-D", str(staging), "-U", ADMIN, f"--pwfile={password}"]
    arguments += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin"]
    arguments += ["--builtin-locale=C.UTF-8", "--no-instructions"]
    try:
        done = _run_as(account, arguments if durable else [*arguments, "--no-sync"], server.directory)
    finally:
        password.unlink(missing_ok=True)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise refuse(
            "initdb_failed",
            f"the PostgreSQL of {server.directory} could not be created: {said[-1] if said else 'initdb said nothing'}",
            exit_code=done.returncode,
        )
    staging.rename(server.data)


def _own_directories(server: Server, account: Account | None) -> None:
    server.directory.mkdir(parents=True, exist_ok=True)
    server.directory.chmod(0o700)
    secret = server.directory / "secrets"
    secret.mkdir(exist_ok=True)
    secret.chmod(0o700)
    if account is not None:
        os.chown(server.directory, account.uid, account.gid)
    if server.socket_directory is not None:
        server.socket_directory.mkdir(exist_ok=True)
        server.socket_directory.chmod(0o700)
        if account is not None:
            os.chown(server.socket_directory, account.uid, account.gid)


def _write_secret(path: Path) -> None:
    if not path.exists():
        write_whole(path, secrets.token_urlsafe(24))


def _write_owned(path: Path, text: str, account: Account | None) -> None:
    write_whole(path, text, owner=None if account is None else (account.uid, account.gid))


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
