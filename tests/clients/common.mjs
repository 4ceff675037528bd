// What the programs share: their settings, a token that is read anew for each connection, and lines on stdout.
import { readFileSync } from "node:fs";

export const settings = JSON.parse(process.argv[2]);

export const QUERY = "subscription ($after: String) { changes(after: $after) { bookmark objects { id } } }";

export const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

export const authorization = () => `Bearer ${readFileSync(settings.token, "utf8").trim()}`;

export const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

// The last bookmark that was taken: the whole recipe of following.
let last = null;

export function take(result) {
  for (const error of result.errors ?? result.error?.errors ?? []) say({ error: error.message, code: error.extensions?.code });
  const change = result.data?.changes;
  if (!change) return;
  last = change.bookmark;
  say({ bookmark: last, ids: change.objects.map((object) => object.id) });
}

export const headers = () => ({
  authorization: authorization(),
  ...(last ? { "last-event-id": last } : {}),
});

export const sink = {
  next: take,
  complete: () => { say({ end: "complete" }); process.exit(0); },
  error: (error) => { say({ end: "error", message: String(error), code: error?.response?.status }); process.exit(0); },
};

// What stops them is the end of their input.
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
