"""The subscribers that every region's feed hosts: one line each."""

from __future__ import annotations

from collections.abc import Callable

from intelgraph.changelog.feed.streams import Streams
from intelgraph.changelog.feed.subscriber import Subscriber
from intelgraph.settings import RegionConfig

SUBSCRIBERS: tuple[Callable[[RegionConfig], Subscriber], ...] = (lambda _config: Streams(),)
