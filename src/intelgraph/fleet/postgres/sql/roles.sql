-- The roles of one region's PostgreSQL. Run by the owner in the database "intelgraph", any number of times.
-- Passwords arrive as settings of this session, never in a statement's text.
--   ig_api   the door: logs in; may do only what the log's own SQL grants
--   ig_peer  another region's door: the same, fewer grants
--   ig_repl  another region's subscription: streams publications, reads nothing else
-- Statements of ig_api and ig_peer carry tenants' values, and an error's text can repeat one: their errors reach the
-- client and never the server's log.
DO $roles$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['ig_api', 'ig_peer', 'ig_repl'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE pg_catalog.format('CREATE ROLE %I LOGIN', role_name);
        END IF;
        EXECUTE pg_catalog.format(
            'ALTER ROLE %I PASSWORD %L', role_name, pg_catalog.current_setting('ig_setup.' || role_name)
        );
    END LOOP;
    ALTER ROLE ig_repl REPLICATION;
    ALTER ROLE ig_api SET log_min_messages = 'fatal';
    ALTER ROLE ig_peer SET log_min_messages = 'fatal';
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    REVOKE ALL ON DATABASE intelgraph FROM PUBLIC;
    GRANT CONNECT ON DATABASE intelgraph TO ig_api, ig_peer, ig_repl;
END
$roles$;
