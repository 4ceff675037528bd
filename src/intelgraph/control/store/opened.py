"""Opens the control store that a process was told of: the one place that knows which implementations there are."""

from __future__ import annotations

from pathlib import Path

from intelgraph.control.store.protocol import ControlStore
from intelgraph.control.store.sqlite import SqliteControlStore
from intelgraph.settings import ControlConfig, EtcdControl


def open_store(control: ControlConfig) -> ControlStore:
    """Open the store; nothing is asked of it yet, so that a process starts where the store cannot be reached."""
    if isinstance(control, EtcdControl):
        from intelgraph.control.store.etcd import EtcdControlStore  # its HTTP client takes half a second to import

        return EtcdControlStore(control.members)
    return SqliteControlStore(Path(control.path))
