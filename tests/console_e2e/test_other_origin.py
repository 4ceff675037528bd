"""A page of another origin, in a real browser: it asks, writes, reads what its answers' headers say, and follows."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from intelgraph.fleet.layout.ports import free_ports
from intelgraph.settings import ApiPolicy
from tests.api.layers import LAYERS, Layers, layers_before
from tests.api.site import Site, two_regions

from .browsing import browse

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]
ASK = """
async ({url, token, name, key}) => {
  const asked = (body, headers) => fetch(`${url}/graphql`, {
    method: "POST", body: JSON.stringify(body),
    headers: {"content-type": "application/json", authorization: `Bearer ${token}`, ...headers},
  });
  const made = await asked(
    {query: `mutation($id: ID!, $n: String!) {
       upsertEntities(entities: [{id: $id, type: "t", name: $n}]) { bookmark } }`,
     variables: {id: name, n: name}}, {"idempotency-key": key});
  const bookmark = made.headers.get("ig-bookmark");
  const read = await asked(
    {query: "query($n: ID!) { entity(id: $n) { name } }", variables: {n: name}}, {"ig-bookmark": bookmark});
  const listed = await fetch(`${url}/v1/entities?limit=1`, {headers: {authorization: `Bearer ${token}`}});
  const stream = await asked(
    {query: "subscription { changes { bookmark objects { id } } }"}, {accept: "text/event-stream"});
  const reader = stream.body.getReader();
  let text = "";
  while (!text.includes(name)) text += new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  return {made: await made.json(), read: await read.json(), region: read.headers.get("ig-region"), bookmark,
          listed: listed.status, streamed: text.includes("event: next")};
}
"""
REFUSED = """
async ({url, token}) => {
  const tries = [
    () => fetch(`${url}/graphql`, {method: "POST", body: '{"query":"{__typename}"}',
      headers: {"content-type": "application/json", authorization: `Bearer ${token}`}}),
    () => fetch(`${url}/healthz`),
  ];
  const said = [];
  for (const one of tries) said.push(await one().then(() => "read", error => error.name));
  return said;
}
"""
NO_WEBSOCKET = """
url => new Promise(told => {
  const socket = new WebSocket(url);
  socket.onopen = () => told("open");
  socket.onclose = event => told(event.code);
})
"""


@contextmanager
def pages(port: int) -> Iterator[str]:
    """An application's own server, at an origin of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<!doctype html><link rel=icon href='data:,'><title>An application</title>"
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def origins() -> Iterator[tuple[str, str]]:
    one, other = free_ports(2)
    with pages(one) as allowed, pages(other) as refused:
        yield allowed, refused


@pytest.fixture(scope="module")
def open_site(origins: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    policy = ApiPolicy(allowed_origins=[origins[0]])
    with two_regions(tmp_path_factory.mktemp("open"), policy=policy) as found:
        yield found


@pytest.fixture(scope="module")
def layers(open_site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layers]:
    with layers_before(open_site, Path(tmp_path_factory.mktemp("layers"))) as found:
        yield found


def urls(layers: Layers) -> tuple[str, ...]:
    return tuple(f"http://127.0.0.1:{layers.ports[layer]}" for layer in LAYERS)


@pytest.mark.prove
def test_a_page_of_an_allowed_origin_asks_writes_and_follows_at_every_layer(
    open_site: Site, layers: Layers, origins: tuple[str, str]
) -> None:
    token = open_site.issuer.token("acme")

    async def story(page: Page) -> None:
        await page.goto(origins[0])
        for url in urls(layers):
            name = f"page-{uuid.uuid4()}"
            found: dict[str, Any] = await page.evaluate(
                ASK, {"url": url, "token": token, "name": name, "key": f"k-{name}"}
            )
            assert found["read"] == {"data": {"entity": {"name": name}}}, json.dumps(found)
            assert (found["region"], found["listed"], found["streamed"]) == ("us-east", 200, True)
            assert found["bookmark"] == found["made"]["data"]["upsertEntities"]["bookmark"]

    browse(open_site, story, also=(*origins, *urls(layers)))


def test_a_page_of_another_origin_reads_nothing(open_site: Site, layers: Layers, origins: tuple[str, str]) -> None:
    token = open_site.issuer.token("acme")

    async def story(page: Page) -> None:
        await page.goto(origins[1])
        for url in urls(layers):
            assert await page.evaluate(REFUSED, {"url": url, "token": token}) == ["TypeError", "TypeError"]

    browse(open_site, story, also=(*origins, *urls(layers)), provokes=("CORS policy", "net::ERR_FAILED"))


@pytest.mark.prove
def test_a_websocket_is_refused_at_every_layer(open_site: Site, layers: Layers, origins: tuple[str, str]) -> None:
    async def story(page: Page) -> None:
        await page.goto(origins[0])
        for url in urls(layers):
            assert await page.evaluate(NO_WEBSOCKET, url.replace("http", "ws") + "/graphql") == 1006

    browse(open_site, story, also=(*origins, *urls(layers)), provokes=("WebSocket connection to",))
