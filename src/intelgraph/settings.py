"""How a process is told what it is: one JSON file per region, written by the fleet, read by its API workers and feed.

At scale the same file is written by whatever deploys the region. Only this module and the fleet know its shape, and
only the fleet's composition root reads the environment.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from intelgraph.model.errors import refuse, what_failed


class Database(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach one PostgreSQL. ``host`` may be a socket directory."""

    host: str
    port: int
    user: str
    password: str
    database: str = "intelgraph"


class Peer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another region as seen from here, over the WAN link: its database (role ``ig_peer``) and its API base URL."""

    database: Database
    api: str


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose tokens are believed. ``jwks`` is a file path or an https URL of a JSON Web Key Set."""

    issuer: str
    audience: str
    jwks: str


class ApiPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of the door. Every field has its unit in its name."""

    body_bytes_max: int = 8 * 1024 * 1024
    operations_max: int = 1_000
    request_timeout_s: float = 10.0
    body_timeout_s: float = 10.0
    bookmark_wait_s: float = 2.0
    remote_wait_s: float = 5.0
    pool_connections_max: int = 6
    """Writes that PostgreSQL works on at once, for each API worker; others queue. On 2 cores 10 made every write of a
    burst late: 32 remote writers over 80 ms had 295 writes/s with 10, 330 with 6, and 32 home writers the same."""
    tenant_connections_max: int = 4
    """How many of those one tenant may have at once: whatever it asks for, some are left for the others."""
    heavy_max: int = 3
    """How many calls that may be large (pages, counted answers, writes beyond ``LARGE_BYTES``) are made at once, one
    for each tenant: what a worker and its backends hold in memory is so many times a page at most."""
    coalesce_max: int = 16
    """How many reads of one tenant that differ only in their values become one statement; 1: none do. On 2 cores and
    with 32 readers, 16 leave the worker a batch to answer while PostgreSQL works on the next; 20 were no faster."""
    group_max: int = 32
    """How many writes of one placement that wait at the same time become one transaction; 1: none do."""
    introspection: bool = True
    """Whether the schema may be asked for by ``__schema`` and ``__type``; what it describes is the same for all."""
    graphiql: bool = True
    """Whether the page for asking by hand is served at ``/graphiql``."""
    directory_ttl_s: float = 1.0
    directory_stale_reads_s_max: float = 600.0
    """For how long reads go on from what was known last while the control store is silent (docs/residency.md)."""
    hold_s_max: float = 15.0
    """A write that cannot be taken now waits so long at most, and no longer than its client said; without a word
    from the client, ``request_timeout_s``."""
    held_max: int = 1_000
    """How many writes one worker holds at once; the next are refused with ``held_full``."""
    held_bytes_max: int = 64 * 1024 * 1024
    """How many bytes of bodies they may have together."""
    tenant_held_max: int = 250
    """How many of them may be one tenant's."""
    tenant_held_bytes_max: int = 16 * 1024 * 1024
    changes_limit_max: int = 1_000
    allowed_origins: list[str] = []
    """The origins whose pages may ask (CORS), such as ``https://app.example``; ``*`` for every one; none by default."""


class SubscriberPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a region's log is delivered to each subscriber."""

    rows_max: int = 1_000
    """Of a batch, and objects of a page."""
    bytes_max: int = 1024 * 1024
    """Of a batch's bodies, or a page's; one row or object is given however large it is."""
    look_s: float = 2.0
    """At the latest so long after the last look it looks again, although nobody said that the log moved."""
    receive_s_max: float = 60.0
    """A subscriber that has not taken a batch within this time has failed with it."""
    retry_s: float = 0.5
    """Until a subscriber that failed is tried again; doubled with each failure in a row."""
    retry_s_max: float = 30.0


class FeedPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the feed looks, echoes and compares."""

    poll_s: float = 0.02
    echo_s: float = 0.02
    """Between two tokens to a peer while rows arrive or are written here; they bound what a read says of its age."""
    echo_idle_s: float = 0.1
    """The same once nothing has moved for ``idle_after_s``: each token is a transaction in every region but one."""
    idle_after_s: float = 2.0
    heartbeat_s: float = 1.0
    compare_s: float = 5.0
    batch_rows: int = 2_000
    subscribers: SubscriberPolicy = SubscriberPolicy()


class LeaseTimes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How leases are timed: the same in every region and at the witness (``placement.lease`` says what each means)."""

    renew_s: float = 1.0
    lease_s: float = 5.0
    drift_s: float = 0.25
    look_gap_max_s: float = 1.0
    look_s: float = 0.5
    """Between two looks at the others' leases."""


class SqliteControl(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="sqlite"
):
    """The control store of one machine: the path of its file."""

    path: str


class EtcdControl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="etcd"):
    """The control store of several regions: the base URLs of etcd's members as they are reached here, nearest first."""

    members: list[str]


ControlConfig = SqliteControl | EtcdControl
"""How a process reaches the control store; ``control.store.opened.open_store`` opens it."""


class RegionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a process of one region needs to know.

    ``database`` is the application role ``ig_api`` (may execute the door's functions, reads no table);
    ``admin_database`` is the owner ``ig_admin``, used by the feed and by operator commands.
    """

    region: str
    zone: str
    directory: str
    database: Database
    admin_database: Database
    peers: dict[str, Peer]
    control: ControlConfig
    issuer: Issuer
    api_host: str
    api_port: int
    agent_socket: str = ""
    """Where the region's agent grants the right to acknowledge writes. Empty: there are no leases, and whoever holds
    the open epoch acknowledges; for a site of one region only, such as a benchmark's."""
    edge: str = ""
    """The base URL of the region's own edge, where its agent probes whether writes get through as clients' do. Empty:
    there is none, and the lease stands on the database alone."""
    agent_port: int = 0
    """Where the agent's numbers are answered by ``GET /metrics``, at ``api_host``; 0: nowhere."""
    metrics_port: int = 0
    """Where the API workers' numbers are, likewise."""
    feed_port: int = 0
    """Where the feed's numbers are, likewise. All three are for who watches, never for clients."""
    lease: LeaseTimes = LeaseTimes()
    api: ApiPolicy = ApiPolicy()
    feed: FeedPolicy = FeedPolicy()


class WitnessConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the witness's agent needs to know: no database and no tenant's data.

    ``regions``: the base URL of each region's API as it is reached from the witness.
    """

    directory: str
    control: ControlConfig
    regions: dict[str, str]
    lease: LeaseTimes = LeaseTimes()


def load_region_config(path: Path) -> RegionConfig:
    """Read and validate one region's file; refuses with ``bad_region_config`` and what is wrong in it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RegionConfig)
    except (OSError, msgspec.DecodeError) as error:
        raise refuse("bad_region_config", f"the region's settings {path} are refused: {what_failed(error)}") from error


def load_control_config(path: Path) -> ControlConfig:
    """Read how an operator's commands reach the control store; raises ``FileNotFoundError`` where nobody said."""
    try:
        control: ControlConfig = msgspec.json.decode(path.read_bytes(), type=ControlConfig)
        return control
    except msgspec.DecodeError as error:
        raise refuse("bad_control_config", f"the settings {path} are refused: {what_failed(error)}") from error


def load_witness_config(path: Path) -> WitnessConfig:
    """Read and validate the witness's file; refuses with ``bad_witness_config`` and what is wrong in it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=WitnessConfig)
    except (OSError, msgspec.DecodeError) as error:
        raise refuse(
            "bad_witness_config", f"the witness's settings {path} are refused: {what_failed(error)}"
        ) from error


def dump_region_config(config: RegionConfig | WitnessConfig) -> bytes:
    """Encode a region's or the witness's settings as the JSON that ``load_region_config`` reads."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2)
