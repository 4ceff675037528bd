"""What a name may look like: regions, zones, placements, tenants.

Names end up in file paths, SQL identifiers, Envoy cluster names and URLs, so one narrow alphabet serves all of them:
lower-case letters, digits and single dashes, starting with a letter, at most 40 characters.
"""

from __future__ import annotations

import re

from intelgraph.model.errors import refuse

REGION_PATTERN = r"[a-z](?:-?[a-z0-9]){0,39}"
_NAME = re.compile(REGION_PATTERN)
NAME_LENGTH_MAX = 40


def check_name(kind: str, name: str) -> str:
    """Return ``name`` if it may name a ``kind`` ("region", "tenant", ...); refuses with ``bad_name``."""
    if not isinstance(name, str) or len(name) > NAME_LENGTH_MAX or not _NAME.fullmatch(name):
        raise refuse(
            "bad_name",
            f"the {kind} name {str(name)[:60]!r} is refused: use lower-case letters, digits and single dashes, "
            f"a letter first, at most {NAME_LENGTH_MAX} characters",
            kind=kind,
        )
    return name
