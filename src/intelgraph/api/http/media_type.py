"""What a body says that it is: JSON in UTF-8, not encoded, or the request is refused. Pure."""

from __future__ import annotations

import re

from intelgraph.api.http.request import Request
from intelgraph.model.errors import refuse

_JSON = b"application/json"
_PARAMETER = re.compile(rb'(?:[^;"]|"(?:[^"\\]|\\.)*+(?:"|\Z))++', re.DOTALL)
"""Up to the next semicolon that is not in quotation marks."""


def check_media_type(request: Request) -> None:
    """Refuse a body that is not JSON in UTF-8 by its own word, or is encoded."""
    given = request.headers.get(b"content-type", b"")
    if given != _JSON:
        kind, _, parameters = given.lower().partition(b";")
        named = (parameter.partition(b"=") for parameter in _PARAMETER.findall(parameters))
        charsets = [value.strip(b'" \t') for name, _, value in named if name.strip() == b"charset"]
        if kind.strip() != _JSON or any(charset not in (b"utf-8", b"utf8") for charset in charsets):
            raise refuse(
                "unsupported_media_type",
                "the request is refused: its body must have the content type application/json in UTF-8",
            )
    encoding = request.headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        raise refuse(
            "unsupported_media_type",
            "the request is refused: its body has a content encoding; bodies are read as they are, without one",
        )
