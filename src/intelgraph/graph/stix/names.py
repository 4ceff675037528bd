"""A name for every STIX object, also for those that have none: an observable is called by its value, and so on.

The name is a function of the object's own properties and nothing else, so that an export can leave out a name that the
object never had, and an import finds the same one again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FALLBACK_LENGTH_MAX = 256

# Where a nameless object says what it is called, best first. Every entry is a property of STIX 2.1.
_TEXT_PROPERTIES = (
    "value",  # domain-name, email-addr, ipv4-addr, ipv6-addr, mac-addr, url
    "path",  # directory
    "key",  # windows-registry-key
    "subject",  # email-message, x509-certificate
    "display_name",  # user-account
    "account_login",
    "user_id",
    "command_line",  # process
    "serial_number",  # x509-certificate
    "abstract",  # note
    "definition_type",  # marking-definition
)


def fallback_name(properties: Mapping[str, Any], stix_id: str) -> str:
    """What to call an object without a usable ``name``: its value, its first alias, or at last its id."""
    for name in _TEXT_PROPERTIES:
        text = properties.get(name)
        if isinstance(text, str) and text:
            return text[:FALLBACK_LENGTH_MAX]
    aliases = properties.get("aliases")
    if isinstance(aliases, list) and aliases and isinstance(aliases[0], str) and aliases[0]:
        return aliases[0][:FALLBACK_LENGTH_MAX]
    return stix_id
