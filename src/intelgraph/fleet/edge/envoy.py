"""Envoy's configuration: a region's edge, and the global edge that stands in for DNS. Pure: plain values in and out.

Guarantees: nothing of a request is logged (status, duration and the kind of failure only, and only of failures); the
global edge, which is in no region, never keeps a request's body to send it again. So it retries reads alone; a write
is retried by its region's edge, or by the client with its idempotency key. A tenant that may not be served in the
region a request reached gets 421 with the regions that may; reads are then tried at the next region.

A region whose processes are stopped accepts connections and never answers, and a slow read must not be cut off for
that. A read of one object, or of a list of at most ten, that a region does not begin to answer in ``HEDGE_S`` is
therefore asked of the next region *as well*, and the first good answer counts. Another list, or a document, may be a
large read: it is asked elsewhere only after ``LOST_S``, by when a region that lives has begun to answer, the first
being waited for all the same. A stream is never asked for twice: it waits for the region that the readiness checks pass
over soon enough.

Clients reach what is for clients (``CLIENT_PATHS``) and nothing else, and cannot say that a request is forwarded: what
regions say to each other (``BETWEEN_REGIONS``) passes at a listener of its own (``peers_port``), which is for regions
alone. Connections, buffers and heads are bounded, and every phase of a request has a time-out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from intelgraph.fleet.edge import answers as edge_answers
from intelgraph.model.head_refusals import HEAD_BYTES_MAX, HEADERS_MAX

Json = dict[str, Any]

# Set on answers that an edge made up itself: the global edge tells "nobody was there" from a region's answer by it.
UNREACHED = "ig-edge-unreached"
HEDGE_S = 0.4
LOST_S = 3.0
"""Longer than all but the largest reads take to begin: a page has 4 MiB at most."""
BETWEEN_REGIONS = ("ig-forwarded", "ig-unanswered")
CLIENT_PATHS = ("/graphql", "/graphiql", "/graphiql/", "/v1/", "/healthz", "/readyz", "/openapi.json")
CONNECTIONS_MAX, CONNECTIONS_TO_WORKERS_MAX = 6_144, 2_048
"""Both at their limit cost an edge some 200 MB: 20 kB for one from a client, 30 kB for one to a worker."""
BUFFER_BYTES = 131_072
"""Of one connection in one direction. A client that reads slowly is seen to make progress within so many bytes."""
REQUEST_S = 30.0
"""For a whole request to arrive; workers wait 10 s for a body's end."""
HEAP_BYTES_MAX = 768 * 1024 * 1024
_RETRIED_BODY_BYTES_MAX = 4 * 1024 * 1024
_TYPES = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A place that requests are sent to."""

    name: str
    port: int
    host: str = "127.0.0.1"


def region_edge(*, port: int, peers_port: int, admin_socket: str, api: Upstream) -> Json:
    """The edge of one region in front of its API workers: for clients at ``port``, for other regions at the other."""
    retry = {
        "retry_on": "connect-failure,reset-before-request,refused-stream",
        "num_retries": 8,
        "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
    }
    routes = [_route(match, "api", retry) for match in _paths(CLIENT_PATHS)]
    listeners = [
        _listener("edge", port, routes, in_a_region=True),
        _listener("peers", peers_port, routes, in_a_region=True, from_clients=False),
    ]
    return _bootstrap(admin_socket, listeners, _cluster("api", [[api]], idle_s=15))


def global_edge(*, port: int, admin_socket: str, edges: Sequence[Upstream]) -> Json:
    """The one address in front of all regions, nearest first; a region that is not ready is passed over."""
    retry = {
        "retry_on": "connect-failure,reset,refused-stream,retriable-status-codes,retriable-headers",
        "retriable_status_codes": [421],
        "retriable_headers": [{"name": UNREACHED, "present_match": True}],
        "num_retries": max(1, len(edges) - 1),
        "retry_priority": {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": f"{_TYPES}.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
                "update_frequency": 1,
            },
        },
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
    }
    routes = [
        {**_route({"prefix": "/", "headers": [_READING, _STREAMING]}, "regions", retry), "name": "stream"},
        *(_small({"path": path, "query_parameters": [_FEW]}, retry) for path in _LISTS),
        *(_large(path, retry) for path in ("/graphql", *_LISTS)),
        *(_small(match, retry) for match in _paths(CLIENT_PATHS)),
        *(_route(match, "regions", None) for match in _paths(CLIENT_PATHS)),
    ]
    cluster = _cluster("regions", [[edge] for edge in edges], idle_s=30)
    cluster["health_checks"] = [_readiness_check()]
    cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
    listener = _listener("edge", port, routes, in_a_region=False)
    return _bootstrap(admin_socket, [listener], cluster)


_READING = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
_STREAMING = {"name": "accept", "string_match": {"contains": "text/event-stream", "ignore_case": True}}
_LISTS = ("/v1/entities", "/v1/relationships", "/v1/changes")
_FEW = {"name": "limit", "string_match": {"safe_regex": {"regex": "[1-9]|10"}}}


def _paths(paths: Sequence[str]) -> list[Json]:
    """How requests to these paths, and below those that end in a slash, are told from others."""
    return [{"prefix": path} if path.endswith("/") else {"path": path} for path in paths]


def _large(path: str, retry: Json) -> Json:
    """Reads that may be large."""
    return _hedged({"path": path}, retry, after_s=LOST_S)


def _small(match: Json, retry: Json) -> Json:
    """Reads of one object or of a few."""
    return _hedged(match, retry, after_s=HEDGE_S)


def _hedged(match: Json, retry: Json, *, after_s: float) -> Json:
    """Reads that a second region is asked for too, if the first does not begin to answer."""
    tries = {**retry, "per_try_timeout": f"{after_s:g}s"}
    route = _route({**match, "headers": [_READING]}, "regions", tries)
    route["route"]["hedge_policy"] = {"hedge_on_per_try_timeout": True}
    return route


def _readiness_check() -> Json:
    """A region that is killed is passed over within 0.6 s, one that is stopped within 1.6 s; reads wait for neither.

    Nothing is concluded from what requests meet: a read that is slow would look like a region that is stopped.
    """
    return {
        "timeout": "0.5s",
        "interval": "0.25s",
        "no_traffic_interval": "0.25s",
        "unhealthy_interval": "0.25s",
        "interval_jitter": "0.05s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/readyz", "host": "global-edge"},
    }


def _route(match: Json, cluster: str, retry: Json | None) -> Json:
    # The API bounds each request's time itself. A stream of changes says something every 10 s while it lasts.
    action: Json = {"cluster": cluster, "timeout": "0s", "idle_timeout": "60s"}
    if retry is not None:
        action["retry_policy"] = retry
    return {"match": match, "route": action}


def _listener(name: str, port: int, routes: list[Json], *, in_a_region: bool, from_clients: bool = True) -> Json:
    http: Json = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "use_remote_address": True,
        # Nobody is believed more for his address: what steers an edge (x-envoy-...) is taken from no request.
        "internal_address_config": {"cidr_ranges": [{"address_prefix": _NOBODY, "prefix_len": 32}]},
        "preserve_external_request_id": in_a_region,
        "always_set_request_id_in_response": True,
        "server_header_transformation": "PASS_THROUGH",
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "edge"},
        "http2_protocol_options": _HTTP_2,
        "max_request_headers_kb": HEAD_BYTES_MAX // 1024,
        "request_headers_timeout": "10s",
        "request_timeout": f"{REQUEST_S:g}s",
        "stream_idle_timeout": "60s",
        "delayed_close_timeout": "10s",
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "max_headers_count": HEADERS_MAX,
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPES}.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                    "dynamic_stats": False,
                },
            }
        ],
        "route_config": {
            "name": "all",
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [edge_answers.bad_host(), *routes, edge_answers.no_such_route()],
                    "request_body_buffer_limit": _RETRIED_BODY_BYTES_MAX if in_a_region else 0,
                }
            ],
            "request_headers_to_remove": list(BETWEEN_REGIONS) if from_clients else [],
        },
        "local_reply_config": edge_answers.local_replies(UNREACHED),
        "access_log": [_failure_log()],
    }
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "socket_options": [_tcp_option(_NOT_SENT_LOWAT, BUFFER_BYTES), _tcp_option(_USER_TIMEOUT, 60_000)],
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]}
        ],
    }


_HTTP_2 = {
    "max_concurrent_streams": 100,
    "initial_stream_window_size": 65_536,
    "initial_connection_window_size": 8 * BUFFER_BYTES,
}
_NOBODY = "192.0.2.255"
"""An address for documentation: without any, Envoy takes all private ones for its own side's."""
_NOT_SENT_LOWAT, _USER_TIMEOUT = 25, 18
"""Linux's numbers: how much may lie in the kernel unsent; after how many ms without a sign of life it gives up."""


def _tcp_option(name: int, value: int) -> Json:
    return {"level": 6, "name": name, "int_value": value, "state": "STATE_PREBIND"}


def _failure_log() -> Json:
    return {
        "name": "envoy.access_loggers.stderr",
        "filter": {"status_code_filter": {"comparison": edge_answers.at_least(500, "log_from")}},
        "typed_config": {
            "@type": f"{_TYPES}.access_loggers.stream.v3.StderrAccessLog",
            "log_format": {
                "json_format": {
                    "at": "%START_TIME%",
                    "status": "%RESPONSE_CODE%",
                    "flags": "%RESPONSE_FLAGS%",
                    "ms": "%DURATION%",
                    "upstream": "%UPSTREAM_HOST%",
                }
            },
        },
    }


def _cluster(name: str, priorities: list[list[Upstream]], *, idle_s: int) -> Json:
    endpoints = [
        {
            "priority": priority,
            "lb_endpoints": [
                {
                    "endpoint": {
                        "hostname": place.name,
                        "address": {"socket_address": {"address": place.host, "port_value": place.port}},
                    }
                }
                for place in places
            ],
        }
        for priority, places in enumerate(priorities)
    ]
    most = {
        "max_connections": CONNECTIONS_TO_WORKERS_MAX,
        "max_pending_requests": CONNECTIONS_MAX,
        "max_requests": 65_536,
        "max_retries": 1024,
    }
    options = {
        "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": f"{idle_s}s"},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", **most}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _bootstrap(admin_socket: str, listeners: list[Json], cluster: Json) -> Json:
    return {
        "admin": {"address": {"pipe": {"path": admin_socket, "mode": 0o600}}},
        "static_resources": {"listeners": listeners, "clusters": [cluster]},
        "overload_manager": _overload(),
        # Nobody reads an edge's own numbers; keeping them costs a request 3 % of its time there.
        "stats_config": {"stats_matcher": {"reject_all": True}},
    }


def _overload() -> Json:
    """What an edge does before it is out of connections or of memory."""
    resources = f"{_TYPES}.resource_monitors"
    heap = "envoy.resource_monitors.fixed_heap"
    limit = {"max_active_downstream_connections": CONNECTIONS_MAX}
    monitors = [
        {
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {"@type": f"{resources}.downstream_connections.v3.DownstreamConnectionsConfig", **limit},
        },
        {
            "name": heap,
            "typed_config": {
                "@type": f"{resources}.fixed_heap.v3.FixedHeapConfig",
                "max_heap_size_bytes": HEAP_BYTES_MAX,
            },
        },
    ]
    steps = {"disable_http_keepalive": 0.8, "stop_accepting_requests": 0.95}
    actions = [
        {"name": f"envoy.overload_actions.{name}", "triggers": [{"name": heap, "threshold": {"value": at}}]}
        for name, at in steps.items()
    ]
    return {"refresh_interval": "0.25s", "resource_monitors": monitors, "actions": actions}
