"""A bundle, read once to its end and laid out for sending: entities first, relationships second, in equal batches.

``scan`` reads the whole source before anything is sent, so a file that turns out not to be JSON at its last byte has
changed nothing. It spools each object as the JSON of its operation into two temporary files (entities, relationships),
which needs as much disk as the bundle uncompressed and no memory, works for pipes, and cannot change under the import.
The files have no name, so that a killed import leaves none of a tenant's data behind. Batches depend on the content
and the limits alone: a resumed import sees the same ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO

from intelgraph.graph.imports.index import ImportIndex
from intelgraph.graph.objects import GraphObject, Kind, upsert_operation
from intelgraph.graph.stix.bundle_source import BundleSource
from intelgraph.graph.stix.read import Limits, read_bundle
from intelgraph.graph.stix.rejects import Rejected, Rejects
from intelgraph.graph.stix.versions import version_of

KINDS: tuple[Kind, ...] = ("entity", "relationship")
_PROGRESS_ELEMENTS = 500


@dataclass(frozen=True, kw_only=True)
class BatchLimits:
    """How much goes into one request. Large batches delay everyone's replication, so there is a limit on both."""

    operations_max: int = 1_000
    bytes_max: int = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Operations of one kind that travel together; ``number`` counts from 0 within its kind."""

    kind: Kind
    number: int
    operations: tuple[bytes, ...]


class ImportPlan:
    """What ``scan`` found: batches to send, the index of ids, the hash of the content. Close it to free the disk."""

    def __init__(self) -> None:
        self.index = ImportIndex()
        self.content_hash = ""
        self.elements = 0
        self._spools: dict[Kind, BinaryIO] = {kind: tempfile.TemporaryFile() for kind in KINDS}  # noqa: SIM115

    def __enter__(self) -> ImportPlan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the temporary files."""
        self.index.close()
        for spool in self._spools.values():
            spool.close()

    def add(self, kind: Kind, operation: bytes) -> None:
        """Spool one more operation."""
        self._spools[kind].write(operation + b"\n")

    def batches(self, kind: Kind, limits: BatchLimits) -> Iterator[Batch]:
        """The batches of ``kind``, in file order; the same ones every time, but one reading at a time."""
        number, size = 0, 0
        operations: list[bytes] = []
        for operation in self._taken_lines(kind):
            if operations and (len(operations) >= limits.operations_max or size + len(operation) > limits.bytes_max):
                yield Batch(kind=kind, number=number, operations=tuple(operations))
                number, size, operations = number + 1, 0, []
            operations.append(operation)
            size += len(operation) + 1
        if operations:
            yield Batch(kind=kind, number=number, operations=tuple(operations))

    def _taken_lines(self, kind: Kind) -> Iterator[bytes]:
        replaced = self.index.replaced_lines(kind)
        next_replaced = next(replaced, None)
        spool = self._spools[kind]
        spool.seek(0)
        for number, line in enumerate(spool):
            if number == next_replaced:
                next_replaced = next(replaced, None)
                continue
            yield line[:-1]


def scan(
    source: BundleSource,
    limits: Limits,
    rejects: Rejects,
    on_progress: Callable[[int, int], None] = lambda bytes_taken, elements: None,
) -> ImportPlan:
    """Read ``source`` to its end; an unreadable file is refused. Temporary files go where TMPDIR says."""
    plan = ImportPlan()
    try:
        scanner = _Scanner(plan)
        for element in read_bundle(source, limits):
            plan.elements += 1
            if isinstance(element, Rejected):
                rejects.add(element)
            else:
                scanner.take(element.thing, element.position)
            if plan.elements % _PROGRESS_ELEMENTS == 0:
                on_progress(source.bytes_taken, plan.elements)
        for form in plan.index.superfluous():
            detail = f"element {form.taken} is taken"
            rejects.add(Rejected(position=form.position, id=form.id, code=form.code, detail=detail))
        plan.content_hash = source.content_hash
        on_progress(source.bytes_taken, plan.elements)
    except BaseException:
        plan.close()
        raise
    return plan


class _Scanner:
    """Enters each object into the index and spools the ones that count so far."""

    def __init__(self, plan: ImportPlan) -> None:
        self._plan = plan
        self._lines: dict[Kind, int] = dict.fromkeys(KINDS, 0)

    def take(self, thing: GraphObject, position: int) -> None:
        """Take the object at ``position`` of the file."""
        operation, line = upsert_operation(thing), self._lines[thing.kind]
        if self._plan.index.claim(thing, version_of(thing), operation, line=line, position=position):
            self._plan.add(thing.kind, operation)
            self._lines[thing.kind] += 1
