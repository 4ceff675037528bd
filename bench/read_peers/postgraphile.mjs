// PostGraphile 5 over the views of peers.sql, with its recommended preset, as a library behind node:http.
//
// Prepared statements are on (its default), and nothing watches, explains or serves pages.
import http from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { printSchema } from "postgraphile/graphql";

const { port, database, print } = JSON.parse(process.argv[2]);
const pgl = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ poolConfig: { ...database, max: 10, idleTimeoutMillis: 0 }, schemas: ["bench"], pubsub: false })],
  grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false },
  grafast: { explain: false },
});
if (print) console.log(printSchema(await pgl.getSchema()));
const server = http.createServer({ keepAlive: true, keepAliveTimeout: 0 });
await pgl.createServ(grafserv).addTo(server);
server.listen(port, "127.0.0.1", () => console.log("ready"));
