// graphql-sse: `headers` is asked for each connection.
import { createClient } from "graphql-sse";
import { QUERY, headers, say, settings, sink, sleep } from "./common.mjs";

const client = createClient({
  url: settings.url, headers, retryAttempts: Infinity, retry: () => sleep(100 + 100 * Math.random()),
  on: { connected: () => say({ connected: true }) },
});
client.subscribe({ query: QUERY, variables: { after: settings.after } }, sink);
