"""A story told in a real browser, on a page of a fresh profile on which nothing may go wrong unseen."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from playwright.async_api import Page, async_playwright

from tests.api.site import Site
from tests.needs import need_browser

Story = Callable[[Page], Awaitable[None]]
STORY_TIMEOUT_S = 280
_CLICK_TIMEOUT_MS = 60_000
_QUIET = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def browse(
    site: Site, story: Story, *, width: int = 1280, also: tuple[str, ...] = (), provokes: tuple[str, ...] = ()
) -> None:
    """Tell a story; skips loudly without a browser, and fails where nothing may be skipped.

    ``also``: what may be asked besides the two regions; ``provokes``: what the browser will complain of, rightly.
    """
    complaints, asked = asyncio.run(asyncio.wait_for(_browse(story, need_browser(), width), STORY_TIMEOUT_S))
    known = (site.us.url, site.eu.url, *also, "data:", "blob:")
    assert [url for url in asked if not url.startswith(known)] == [], "the page asked another origin"
    # A refusal that a story provokes is told by the browser too.
    wrong = [text for text in complaints if text.startswith(("error", "warning"))]
    assert [text for text in wrong if not any(part in text for part in ("401", *provokes))] == []


async def _browse(story: Story, program: str, width: int) -> tuple[list[str], list[str]]:
    """Return what the browser complained of, and what it asked for."""
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    complaints: list[str] = []
    asked: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=[*_QUIET, *as_root])
        try:
            page = await browser.new_page(viewport={"width": width, "height": 800})
            page.set_default_timeout(_CLICK_TIMEOUT_MS)
            page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
            page.on("request", lambda request: asked.append(request.url))
            await story(page)
        finally:
            await browser.close()
    return complaints, asked
