// GraphiQL over this origin's /graphql. The token stays in this tab: session storage, never the address.
"use strict";

const EXAMPLE = `# The groups that an entity of a name leads to. Ctrl-Enter runs it.
query Find($name: String!) {
  entities(filter: { types: ["intrusion-set"], text: $name }, first: 3) {
    items {
      id
      name
      edges(types: ["uses"], first: 5) {
        completeness
        items { direction neighbor { type name } }
      }
    }
    total { count exact }
  }
}
`;
const token = document.getElementById("token");
const bookmark = document.getElementById("bookmark");
const told = document.getElementById("told");
const FACTS = ["ig-region", "ig-bookmark", "ig-staleness-ms"];
let root = null;

function tell(text, refused) {
  told.textContent = text;
  told.classList.toggle("refused", Boolean(refused));
}

function headers(accept) {
  const given = { Accept: accept, "Content-Type": "application/json", Authorization: `Bearer ${token.value.trim()}` };
  if (bookmark.value.trim()) given["IG-Bookmark"] = bookmark.value.trim();
  // A mutation needs a key; each run is a request of its own.
  given["Idempotency-Key"] = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
  return given;
}

function tellFacts(answer) {
  const facts = FACTS.filter((name) => answer.headers.get(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
  tell(`${answer.status}  ${facts.join("  ")}`, !answer.ok);
}

async function ask(params) {
  const answer = await fetch("/graphql", {
    method: "POST", headers: headers("application/graphql-response+json"), body: JSON.stringify(params),
  });
  const body = await answer.json();
  tellFacts(answer);
  if (answer.status === 401) tell(`401  ${body.errors[0].message}`, true);
  return body;
}

// One connection's events; the generator's value says whether it was refused or finished, so that nobody comes back.
async function* events(params, last, signal) {
  const after = last.id ? { "Last-Event-ID": last.id } : {};
  const answer = await fetch("/graphql", {
    method: "POST", headers: { ...headers("text/event-stream"), ...after }, body: JSON.stringify(params), signal,
  });
  tellFacts(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return !answer.ok && answer.status !== 503;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").filter((l) => !l.startsWith(":")).map((l) => [l.slice(0, l.indexOf(": ")), l.slice(l.indexOf(": ") + 2)]));
      if (fields.event === "complete") return answer.status !== 503;
      if (fields.data) { last.id = fields.id ?? last.id; yield JSON.parse(fields.data); }
    }
  }
}

async function* follow(params) {
  const stop = new AbortController();
  const last = { id: null };
  try {
    // A connection that breaks (a restart, a moved home) is made again, behind the last event.
    for (;;) {
      try {
        if (yield* events(params, last, stop.signal)) return;
      } catch (error) {
        if (stop.signal.aborted) throw error;
        tell(`The stream broke off (${error.message}); connecting again.`, true);
      }
      await new Promise((wake) => setTimeout(wake, 1000 + 1000 * Math.random()));
    }
  } finally {
    stop.abort();
  }
}

// The editor tells an operation's name a moment late: one that the text no longer has is left out.
function operation(params) {
  const found = [...params.query.replace(/#.*/g, "").matchAll(/\b(query|mutation|subscription)\b\s*([_A-Za-z]\w*)?\s*[({@]/g)];
  const named = found.find((match) => match[2] === params.operationName);
  const { operationName, ...rest } = params;
  return { kind: (named ?? found[0])?.[1] ?? "query", params: named && operationName ? params : rest };
}

function send(given) {
  const { kind, params } = operation(given);
  return kind === "subscription" ? follow(params) : ask(params);
}

function show() {
  root?.unmount();
  root = ReactDOM.createRoot(document.getElementById("graphiql"));
  root.render(React.createElement(GraphiQL, {
    fetcher: send,
    defaultQuery: EXAMPLE,
    variables: JSON.stringify({ name: "APT28" }, null, 2),
    isHeadersEditorEnabled: false,
    shouldPersistHeaders: false,
  }));
}

document.getElementById("who").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("intelgraph-token", token.value.trim());
  if (!token.value.trim()) { tell("Give a token: nothing is asked without one.", true); return; }
  tell("Asking for the schema.");
  show();
});
bookmark.addEventListener("keydown", (event) => {
  // Enter in the bookmark's field changes the next question; it does not begin again.
  if (event.key === "Enter") { event.preventDefault(); tell(`The next answer will see ${bookmark.value.trim() || "no particular write"}.`); }
});
token.value = sessionStorage.getItem("intelgraph-token") ?? "";
if (token.value) show();
