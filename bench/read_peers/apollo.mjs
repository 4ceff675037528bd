// Apollo Server 5 over `pg` and `dataloader`, with the part of the compared schema that is asked for.
//
// node:http calls executeHTTPGraphQLRequest itself: it is the least there can be between the socket and Apollo. With
// `standalone` it is served by startStandaloneServer instead, as its documentation begins. Every plugin that is not
// needed is off; documents are parsed and validated once (Apollo's document store). Statements are prepared under
// names; what one request needs of a table is asked for in one statement. A mutation's objects are one append to the
// log, under the request's Idempotency-Key; `upsertUnlogged` writes into an ordinary table.
import { createHash } from "node:crypto";
import http from "node:http";
import { ApolloServer, HeaderMap } from "@apollo/server";
import { startStandaloneServer } from "@apollo/server/standalone";
import { ApolloServerPluginCacheControlDisabled, ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled, ApolloServerPluginUsageReportingDisabled } from "@apollo/server/plugin/disabled";
import DataLoader from "dataloader";
import { GraphQLScalarType } from "graphql";
import pg from "pg";

const TENANT = "bench";
const { port, database, standalone } = JSON.parse(process.argv[2]);
const pool = new pg.Pool({ ...database, max: 10, idleTimeoutMillis: 0 });

const typeDefs = `
  scalar JSONObject
  enum Direction { OUT IN }
  type Entity { id: ID! type: String! name: String! confidence: Int properties: JSONObject!
    edges(direction: Direction! = OUT, first: Int! = 20): EdgePage! }
  type Relationship { id: ID! type: String! confidence: Int }
  type Edge { relationship: Relationship! neighbor: Entity }
  type EdgePage { items: [Edge!]! }
  type EntityPage { items: [Entity!]! }
  input EntityFilter { text: String! }
  type Query { entity(id: ID!): Entity entities(filter: EntityFilter!, first: Int! = 20): EntityPage! }
  input EntityInput { id: ID! type: String! name: String! confidence: Int properties: JSONObject }
  type WrittenObject { id: ID! revision: Int }
  type Written { objects: [WrittenObject!]! }
  type Mutation { upsertEntities(entities: [EntityInput!]!): Written! upsertUnlogged(entities: [EntityInput!]!): Written! }
`;

const BRIEF = "id, type, name, confidence";
const LIVE = "from ig.entity where tenant = $1 and not deleted";
const entitiesById = (name, columns) => ({ name, text: `select ${columns} ${LIVE} and id = any ($2::text[])` });
const BRIEF_BY_ID = entitiesById("brief", BRIEF);
const WHOLE_BY_ID = entitiesById("whole", `${BRIEF}, properties`);
const SEARCH = { name: "search", text: `with hits as materialized (select ${BRIEF} ${LIVE} and words @@ ig.word_query('bench', $2))
  select * from hits order by id limit $3` };
const edges = (from, to) => ({ name: `edges_${from}`, text: `
  select s.id as start, r.id, r.type, r.confidence, r.${to} as other
  from unnest($2::text[]) s (id) cross join lateral (
    select * from ig.relationship where tenant = $1 and ${from} = s.id and not deleted order by id limit $3) r` });
const EDGES = { OUT: edges("source", "target"), IN: edges("target", "source") };
const APPEND = { name: "append", text: "select ig.append('bench', 1, $1, $2, $3, $4) as told" };
const UPSERT = { name: "upsert", text: `
  insert into bench.written as w (tenant, id, placement, type, name, confidence, properties, sources, created, updated,
                                  revision, deleted, epoch, position)
  values ($1, $2, $1, $3, $4, $5, $6, '{}', now(), now(), 1, false, 1, 1)
  on conflict (tenant, id) do update set
    type = excluded.type, name = excluded.name, confidence = excluded.confidence, properties = excluded.properties,
    updated = excluded.updated, revision = w.revision + 1
  returning id, revision::int` };

const rows = async (statement, values) => (await pool.query({ ...statement, values })).rows;

const byId = (statement) =>
  new DataLoader(async (ids) => {
    const found = new Map((await rows(statement, [TENANT, ids])).map((row) => [row.id, row]));
    return ids.map((id) => found.get(id) ?? null);
  });

class Loaders {
  constructor(key) {
    this.key = key;
  }
  brief = byId(BRIEF_BY_ID);
  whole = byId(WHOLE_BY_ID);
  byWay = new Map();

  edges(direction, first) {
    const key = `${direction} ${first}`;
    if (!this.byWay.has(key)) {
      this.byWay.set(key, new DataLoader(async (ids) => {
        const found = new Map(ids.map((id) => [id, []]));
        for (const row of await rows(EDGES[direction], [TENANT, ids, first])) found.get(row.start).push(row);
        return ids.map((id) => found.get(id).sort((a, b) => (a.id < b.id ? -1 : 1)));
      }));
    }
    return this.byWay.get(key);
  }
}

const asksFor = (info, name) => info.fieldNodes[0].selectionSet.selections.some((one) => one.name.value === name);
const entity = (id, loaders, info) => (asksFor(info, "properties") ? loaders.whole : loaders.brief).load(id);

const resolvers = {
  JSONObject: new GraphQLScalarType({ name: "JSONObject" }),
  Query: {
    entity: (_, { id }, loaders, info) => entity(id, loaders, info),
    entities: async (_, { filter, first }) => ({ items: await rows(SEARCH, [TENANT, filter.text, first]) }),
  },
  Entity: {
    edges: async ({ id }, { direction, first }, loaders) => ({ items: await loaders.edges(direction, first).load(id) }),
  },
  Edge: {
    relationship: (row) => row,
    neighbor: (row, _, loaders, info) => entity(row.other, loaders, info),
  },
  Mutation: {
    upsertEntities: async (_, { entities }, { key }) => {
      const operations = JSON.stringify(entities.map((entity) => ({ op: "upsert_entity", entity })));
      const hash = createHash("sha256").update(operations).digest();
      const [{ told }] = await rows(APPEND, [TENANT, key, hash, operations]);
      if (told.status === "refused") throw new Error(told.reason);
      return told;
    },
    upsertUnlogged: async (_, { entities }) => {
      const objects = [];
      for (const { id, type, name, confidence, properties } of entities) {
        objects.push(...(await rows(UPSERT, [TENANT, id, type, name, confidence, properties ?? {}])));
      }
      return { objects };
    },
  },
};

const server = new ApolloServer({
  typeDefs, resolvers, introspection: false, csrfPrevention: false, stopOnTerminationSignals: false,
  plugins: [ApolloServerPluginCacheControlDisabled(), ApolloServerPluginLandingPageDisabled(),
    ApolloServerPluginSchemaReportingDisabled(), ApolloServerPluginUsageReportingDisabled()],
});
const contextOf = (headers) => new Loaders(headers["idempotency-key"]);

const answer = async (request, response, body) => {
  const headers = new HeaderMap();
  for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value));
  const done = await server.executeHTTPGraphQLRequest({
    httpGraphQLRequest: { method: request.method, headers, search: "", body: JSON.parse(body) },
    context: async () => contextOf(request.headers),
  });
  const text = Buffer.from(done.body.string);
  response.writeHead(done.status ?? 200, { ...Object.fromEntries(done.headers), "content-length": text.length });
  response.end(text);
};

if (standalone) {
  await startStandaloneServer(server, { listen: { port, host: "127.0.0.1" }, context: async ({ req }) => contextOf(req.headers) });
} else {
  await server.start();
  http.createServer({ keepAlive: true, keepAliveTimeout: 0 }, (request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      answer(request, response, Buffer.concat(parts).toString()).catch((error) => {
        response.writeHead(500).end(String(error));
      });
    });
  }).listen(port, "127.0.0.1");
}
