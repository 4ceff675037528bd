// Runs graphql-http's audits against a server: `node audit.mjs URL TOKEN` prints each outcome as JSON.
import { serverAudits } from "graphql-http";

const [url, token] = process.argv.slice(2);
const fetchFn = (where, init = {}) =>
  fetch(where, { ...init, headers: { authorization: `Bearer ${token}`, ...(init.headers ?? {}) } });
const outcomes = [];
for (const audit of serverAudits({ url, fetchFn })) {
  const result = await audit.fn();
  outcomes.push({ id: audit.id, name: audit.name, status: result.status, reason: result.reason ?? null });
}
console.log(JSON.stringify(outcomes));
