"""Envoy's configuration: a region's edge, and the global edge that stands in for DNS. Pure: plain values in and out.

Guarantees: nothing of a request is logged (status, duration and the kind of failure only, and only of failures); the
global edge, which is in no region, never keeps a request's body to send it again. So it retries reads alone; a write
is retried by its region's edge, or by the client with its idempotency key. A read that a region does not begin to
answer in ``HEDGE_S`` is asked of the next region *as well*, and the first good answer counts: a region whose processes
are stopped accepts connections and never answers, and a slow read must not be cut off for that. A tenant that may not
be served in the region a request reached gets 421 with the regions that may; reads are then tried at the next region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

# Set on answers that an edge made up itself: the global edge tells "nobody was there" from a region's answer by it.
UNREACHED = "ig-edge-unreached"
HEDGE_S = 0.4
_RETRIED_BODY_BYTES_MAX = 4 * 1024 * 1024
_TYPES = "type.googleapis.com/envoy.extensions"


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A place that requests are sent to."""

    name: str
    port: int
    host: str = "127.0.0.1"


def region_edge(*, port: int, admin_socket: str, api: Upstream) -> Json:
    """The edge of one region in front of its API workers."""
    retry = {
        "retry_on": "connect-failure,reset-before-request,refused-stream",
        "num_retries": 8,
        "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
    }
    routes = [_route("/v1/changes", "api", retry, streaming=True), _route("/", "api", retry, streaming=False)]
    cluster = _cluster("api", [[api]], idle_s=15)
    return _bootstrap(admin_socket, _listener(port, routes, keep_request_id=True), cluster)


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
        "per_try_timeout": f"{HEDGE_S}s",
    }
    reading = [{"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}]
    routes = [
        {**_route("/v1/changes", "regions", retry, streaming=True), "name": "stream"},
        {**_route("/", "regions", retry, streaming=False), "name": "read"},
        _route("/", "regions", None, streaming=False),
    ]
    for route in routes[:2]:
        route["match"]["headers"] = reading
        route["route"]["hedge_policy"] = {"hedge_on_per_try_timeout": True}
    cluster = _cluster("regions", [[edge] for edge in edges], idle_s=30)
    cluster["health_checks"] = [_readiness_check()]
    cluster["common_lb_config"] = {"healthy_panic_threshold": {"value": 0}}
    listener = _listener(port, routes, keep_request_id=False)
    return _bootstrap(admin_socket, listener, cluster)


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


def _route(prefix: str, cluster: str, retry: Json | None, *, streaming: bool) -> Json:
    # The API bounds each request's time itself. A stream of changes lasts as long as both sides want it to.
    action: Json = {"cluster": cluster, "timeout": "0s", "idle_timeout": "0s" if streaming else "60s"}
    if retry is not None:
        action["retry_policy"] = retry
    return {"match": {"prefix": prefix}, "route": action}


def _listener(port: int, routes: list[Json], *, keep_request_id: bool) -> Json:
    http: Json = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "use_remote_address": True,
        "preserve_external_request_id": keep_request_id,
        "always_set_request_id_in_response": True,
        "server_header_transformation": "PASS_THROUGH",
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "60s",
        "common_http_protocol_options": {"idle_timeout": "300s", "headers_with_underscores_action": "REJECT_REQUEST"},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": f"{_TYPES}.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            }
        ],
        "route_config": {
            "name": "all",
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": routes,
                    "request_body_buffer_limit": _RETRIED_BODY_BYTES_MAX if keep_request_id else 0,
                }
            ],
        },
        "local_reply_config": _own_answers(),
        "access_log": [_failure_log()],
    }
    return {
        "name": "edge",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]}
        ],
    }


def _own_answers() -> Json:
    """What the edge itself answers, as problem details like every other error."""

    def problem(code: str, reason: str, **extra: object) -> Json:
        body = {"type": f"urn:intelgraph:error:{code}", "status": "%RESPONSE_CODE%", "code": code, "reason": reason}
        return {"json_format": {**body, "facts": {}, **extra}, "content_type": "application/problem+json"}

    absent = problem("region_unreached", "the region cannot be reached at the moment; try again", retry_after_s=1)
    unreached = {"header": {"key": UNREACHED, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    later = {"header": {"key": "retry-after", "value": "1"}, "append_action": "ADD_IF_ABSENT"}
    return {
        "mappers": [
            {
                "filter": {"status_code_filter": {"comparison": _at_least(500, "answers_from")}},
                "body_format_override": absent,
                "headers_to_add": [unreached, later],
            }
        ],
        "body_format": problem("bad_request", "the edge refuses the request: it is not well-formed HTTP"),
    }


def _failure_log() -> Json:
    return {
        "name": "envoy.access_loggers.stderr",
        "filter": {"status_code_filter": {"comparison": _at_least(500, "log_from")}},
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


def _at_least(status: int, key: str) -> Json:
    return {"op": "GE", "value": {"default_value": status, "runtime_key": f"intelgraph.{key}"}}


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
    most = {"max_connections": 4096, "max_pending_requests": 65_536, "max_requests": 65_536, "max_retries": 1024}
    options = {
        "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": f"{idle_s}s"},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "circuit_breakers": {"thresholds": [{"priority": "DEFAULT", **most}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _bootstrap(admin_socket: str, listener: Json, cluster: Json) -> Json:
    return {
        "admin": {"address": {"pipe": {"path": admin_socket, "mode": 0o600}}},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }
