"""Asks an API on this machine whether it can serve: not whether its process answers, but what ``/readyz`` says."""

from __future__ import annotations

import http.client
import json

from intelgraph.model.errors import why_no_answer

_TIMEOUT_S = 2.0
_ANSWER_BYTES_MAX = 65_536


def why_not_ready(port: int) -> str | None:
    """Return why the API at this port cannot serve, in its own words where it has some; None when it can."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(_ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        return f"/readyz does not answer ({why_no_answer(error)})"
    finally:
        connection.close()
    return None if answer.status == 200 else _reasons(answer.status, body)


def _reasons(status: int, body: bytes) -> str:
    try:
        checks = json.loads(body)["checks"]
        return "; ".join(f"{name}: {why}" for name, why in checks.items() if why) or f"/readyz says {status}"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return f"/readyz says {status}"
