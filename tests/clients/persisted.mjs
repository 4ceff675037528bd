// Automatic persisted queries by the links of Apollo and of urql: each step says what was sent and what came back.
import { createHash } from "node:crypto";
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client/core/index.js";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries/index.js";
import { Client, fetchExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { authorization, say, settings } from "./common.mjs";

const READ = "query Read { stats { __typename } }";
const WRITE = "mutation Write($id: ID!) { upsertEntities(entities: [{id: $id, type: \"t\", name: \"n\"}]) { status } }";

let sent = [];
const counting = (url, options) => {
  const asked = options.method === "GET" ? Object.fromEntries(new URL(url).searchParams) : JSON.parse(options.body);
  sent.push(asked.query ? "text" : "hash");
  return fetch(url, options);
};
const headers = (key) => ({ authorization: authorization(), ...(key ? { "idempotency-key": key } : {}) });

function apollo(get) {
  const link = ApolloLink.from([
    new PersistedQueryLink({
      sha256: (text) => createHash("sha256").update(text).digest("hex"), useGETForHashedQueries: get,
    }),
    new HttpLink({ uri: settings.url, fetch: counting }),
  ]);
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  return {
    read: async () => (await client.query({ query: gql(READ), fetchPolicy: "network-only", context: { headers: headers() } })).data,
    write: async (id, key) => (await client.mutate({ mutation: gql(WRITE), variables: { id }, context: { headers: headers(key) } })).data,
  };
}

function urql(get) {
  const client = new Client({
    url: settings.url, fetch: counting, preferGetMethod: false,
    exchanges: [persistedExchange({ enableForMutation: true, preferGetForPersistedQueries: get }), fetchExchange],
  });
  const told = (result) => { if (result.error) throw result.error; return result.data; };
  return {
    read: async () => told(await client.query(READ, {}, { requestPolicy: "network-only", fetchOptions: { headers: headers() } }).toPromise()),
    write: async (id, key) => told(await client.mutation(WRITE, { id }, { fetchOptions: { headers: headers(key) } }).toPromise()),
  };
}

const clients = { apollo, urql };
for (const step of settings.steps) {
  const client = clients[step.client](step.get ?? false);
  sent = [];
  try {
    const data = step.id ? await client.write(step.id, step.key) : await client.read();
    say({ sent, data });
  } catch (error) {
    say({ sent, error: String(error) });
  }
}
process.exit(0);
