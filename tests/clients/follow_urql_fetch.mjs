// urql by itself: its fetchExchange reads events, its retryExchange comes back when the connection breaks.
import { Client, fetchExchange } from "@urql/core";
import { retryExchange } from "@urql/exchange-retry";
import { QUERY, headers, settings, sink } from "./common.mjs";

const client = new Client({
  url: settings.url,
  preferGetMethod: false,
  fetchSubscriptions: true,
  fetchOptions: () => ({ headers: headers() }),
  exchanges: [retryExchange({ initialDelayMs: 100, maxDelayMs: 200, maxNumberAttempts: 1_000_000 }), fetchExchange],
});
client.subscription(QUERY, { after: settings.after }).subscribe((result) => {
  if (result.error) sink.error(result.error);
  else if (result.hasNext !== false) sink.next(result);
});
