"""One region's database whose streams are played by hand (``tests.replication.lone``)."""

from tests.replication.conftest import _lone_server, alone

__all__ = ["_lone_server", "alone"]
