// @apollo/client over graphql-sse, by the link that graphql-sse's documentation gives.
import { ApolloClient, ApolloLink, InMemoryCache, Observable, gql } from "@apollo/client/core/index.js";
import { print } from "graphql";
import { createClient } from "graphql-sse";
import { QUERY, headers, say, settings, sink, sleep } from "./common.mjs";

const events = createClient({
  url: settings.url, headers, retryAttempts: Infinity, retry: () => sleep(100 + 100 * Math.random()),
  on: { connected: () => say({ connected: true }) },
});
const link = new ApolloLink((operation) => new Observable((observer) =>
  events.subscribe({ ...operation, query: print(operation.query) }, {
    next: observer.next.bind(observer), complete: observer.complete.bind(observer), error: observer.error.bind(observer),
  })));
const client = new ApolloClient({ link, cache: new InMemoryCache() });
client.subscribe({ query: gql(QUERY), variables: { after: settings.after }, fetchPolicy: "no-cache" }).subscribe(sink);
