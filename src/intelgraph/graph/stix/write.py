"""Writes a STIX 2.1 bundle object by object to whatever takes bytes.

The inverse of ``stix.read``: importing what was written gives the same content digest. The bundle's own id comes last
and is derived from that digest, so the same content is the same bytes.
"""

from __future__ import annotations

import uuid
from typing import BinaryIO

import msgspec

from intelgraph.graph.content_digest import ContentDigest
from intelgraph.graph.objects import GraphObject
from intelgraph.graph.stix.mapping import to_stix

_NAMESPACE = uuid.UUID("c0f2ef0c-1b0e-5a53-9d3b-5b1f7a3f6c55")


class BundleWriter:
    """Takes a tenant's objects in (kind, id) order; ``digest`` has seen what was written."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._separator = b'{"type":"bundle","objects":['
        self.digest = ContentDigest()

    def add(self, thing: GraphObject) -> None:
        """Write the next object."""
        self.digest.add(thing)
        self._target.write(self._separator + b"\n" + msgspec.json.encode(to_stix(thing)))
        self._separator = b","

    def finish(self) -> None:
        """Write the end. STIX has no empty list, so an empty bundle has no ``objects``."""
        bundle_id = uuid.uuid5(_NAMESPACE, self.digest.hexdigest())
        empty = self._separator != b","
        start = b'{"type":"bundle"' if empty else b"\n]"
        self._target.write(start + f',"id":"bundle--{bundle_id}"}}\n'.encode())
