-- Who may call what. No role but the owner reads a table.

revoke all on schema ig from public;
revoke all on all routines in schema ig from public;
grant usage on schema ig to ig_api, ig_peer;
grant execute on function
    ig.append(text, bigint, text, text, bytea, jsonb),
    ig.append_many(text, bigint, text[], text[], bytea[], jsonb[]), ig.unlink(text, bigint, text, text, jsonb), ig.read_entity(text, text, text, text),
    ig.read_page(text, text, text, text, int, text), ig.read_changes(text, text, text, int, int),
    ig.key_answer(text, text, text), ig.locate(text, text), ig.readable(text, text), ig.report(), ig.flushed(), ig.probe_write(),
    ig.feed_silent_s()
to ig_api;
grant execute on procedure
    ig.append_and_place(text, bigint, text, text, bytea, jsonb, jsonb, text),
    ig.append_many_and_place(text, bigint, text[], text[], bytea[], jsonb[], jsonb[], text)
to ig_api;
-- Peers may ask for echoes, compare digests, and ask to have rows sent to a region that may hold them.
grant execute on function
    ig.echo(text, bigint), ig.report(), ig.streams(text), ig.digests(text, jsonb), ig.digest_buckets(text, text, int, bigint),
    ig.reissue(text, text, text, int, bigint, int), ig.reissue_snapshot(text, text, jsonb, int)
to ig_peer;
-- A session that stops inside a transaction keeps its placement's lock, and the stream waits for it. So whoever may
-- hold positions is bounded: by its role, and by default in this database.
alter role ig_api set idle_in_transaction_session_timeout = '10s';
alter role ig_peer set idle_in_transaction_session_timeout = '10s';
alter role current_user set idle_in_transaction_session_timeout = '10s';
do $$ begin
    execute format('alter database %I set idle_in_transaction_session_timeout = %L', current_database(), '10s');
end $$;
