"""The GraphiQL page, clicked: a question, a subscription, a token that is none; and what its answers' headers allow."""

from __future__ import annotations

import uuid

import pytest
import requests
from playwright.async_api import Page, expect

from tests.api.site import EU, US, Site, entity, relationship
from tests.machine import WAIT_S

from .browsing import browse

pytestmark = pytest.mark.postgres
NOTHING_YET = "Give a token: nothing is asked without one."


async def open_with_token(page: Page, site: Site, region: str, token: str) -> None:
    await page.goto(site.regions[region].url + "/graphiql")
    await expect(page.get_by_role("status")).to_have_text(NOTHING_YET)
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Use").click()


async def run(page: Page) -> None:
    await page.get_by_role("button", name="Execute query").click()


@pytest.mark.parametrize(
    ("region", "width"), [(EU, 420), *(pytest.param(each, 1280, marks=pytest.mark.prove) for each in (US, EU))]
)
def test_a_question_is_asked_by_a_click_and_the_region_is_told(site: Site, region: str, width: int) -> None:
    group, tool = f"g-{uuid.uuid4()}", f"t-{uuid.uuid4()}"
    made = entity(group, type="intrusion-set", name="APT28"), entity(tool, type="tool", name="Seen in the browser")
    bookmark = site.client(US).write(*made, relationship(group, tool, type="uses")).json()["bookmark"]

    async def story(page: Page) -> None:
        await open_with_token(page, site, region, site.issuer.token("acme", "analyst"))
        await page.get_by_label("See the write").fill(bookmark)
        await run(page)
        await expect(page.locator(".result-window")).to_contain_text("Seen in the browser")
        await expect(page.get_by_role("status")).to_contain_text(f"ig-region: {region}")
        assert page.url == site.regions[region].url + "/graphiql"

    browse(site, story, width=width)


@pytest.mark.prove
def test_the_schema_is_shown(site: Site) -> None:
    async def story(page: Page) -> None:
        await open_with_token(page, site, US, site.issuer.token("acme", "analyst"))
        await page.get_by_role("button", name="Show Documentation Explorer").click()
        await page.get_by_role("link", name="Query").first.click()
        await expect(page.locator(".graphiql-doc-explorer")).to_contain_text("shortestPaths")

    browse(site, story)


@pytest.mark.prove
def test_a_subscription_shows_a_change_of_the_other_region(site: Site) -> None:
    name = f"Told {uuid.uuid4()}"
    start = site.client(US).write(entity()).json()["bookmark"]

    async def story(page: Page) -> None:
        await open_with_token(page, site, EU, site.issuer.token("acme", "analyst"))
        await expect(page.get_by_role("status")).to_contain_text("200")
        await page.locator(".graphiql-query-editor .CodeMirror").click()
        await page.keyboard.press("Control+A")
        await page.keyboard.insert_text(f'subscription {{ changes(after: "{start}") {{ objects {{ name }} }} }}')
        await run(page)
        site.client(US).write(entity(name=name))
        await expect(page.locator(".result-window")).to_contain_text(name)

    browse(site, story)


def test_a_token_that_is_none_is_told_in_words(site: Site) -> None:
    async def story(page: Page) -> None:
        await open_with_token(page, site, US, "nonsense")
        told = page.get_by_role("status")
        await expect(told).to_contain_text("401  the request is refused: its bearer token is not valid")

    browse(site, story)


def test_what_is_served_may_run_nothing_of_others_and_be_framed_by_nobody(site: Site) -> None:
    page = requests.get(site.us.url + "/graphiql", timeout=WAIT_S)
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in page.headers
    script = requests.get(site.us.url + "/graphiql/graphiql.js", timeout=WAIT_S)
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    for name in ("page.html", "..%2f__init__.py", "%2e%2e", "none.js", ""):
        told = requests.get(site.us.url + "/graphiql/" + name, timeout=WAIT_S)
        assert (told.status_code, told.json()["code"]) == (404, "no_such_route"), name
