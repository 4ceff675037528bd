// urql with its subscriptionExchange over graphql-sse, as both documentations say.
import { Client, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-sse";
import { QUERY, headers, say, settings, sink, sleep } from "./common.mjs";

const events = createClient({
  url: settings.url, headers, retryAttempts: Infinity, retry: () => sleep(100 + 100 * Math.random()),
  on: { connected: () => say({ connected: true }) },
});
const client = new Client({
  url: settings.url,
  preferGetMethod: false,
  exchanges: [subscriptionExchange({
    forwardSubscription: ({ query, variables }) => ({
      subscribe: (observer) => ({ unsubscribe: events.subscribe({ query, variables }, observer) }),
    }),
  })],
});
client.subscription(QUERY, { after: settings.after }).subscribe((result) => {
  if (result.error) sink.error(result.error);
  else sink.next(result);
});
