-- Up to where the log is final: below which transaction nobody can still write a row of it.

-- May a session of this role append, and so hold positions that it has not committed yet? A role that may become one
-- that appends counts as well.
create function ig.may_append(p_role oid) returns boolean language sql stable set search_path = '' as $$
    select coalesce((select rolsuper from pg_roles where oid = p_role), true)
        or has_function_privilege(p_role, 'ig.append(text, bigint, text, text, bytea, jsonb)', 'execute')
        or has_table_privilege(p_role, 'ig.change', 'insert')
        or exists (select from pg_roles r where r.rolname in ('ig_api', current_user) and pg_has_role(p_role, r.oid, 'member'));
$$;

-- Every transaction below this is over, or cannot hold positions: it is of another database of the server, or of a role
-- that may not append. A snapshot alone would wait for all of them. What is not known to be harmless counts.
create function ig.horizon() returns xid8 language plpgsql volatile security definer set search_path = '' as $$
declare
    seen pg_snapshot := pg_current_snapshot();
begin
    if pg_snapshot_xmin(seen) = pg_snapshot_xmax(seen) then
        return pg_snapshot_xmax(seen);
    end if;
    return coalesce((
        select min(running.id) from pg_snapshot_xip(seen) as running(id)
        where not exists (
            select from pg_stat_get_activity(null) a
            where a.backend_xid = running.id::xid
              and (a.datid <> (select d.oid from pg_database d where d.datname = current_database())
                   or not ig.may_append(a.usesysid)))), pg_snapshot_xmax(seen));
end $$;

-- The oldest transaction that the log waits for, other than the caller's own; none if there is none. What its session
-- calls itself is somebody's text: what cannot be printed is left out.
create function ig.oldest_transaction() returns jsonb language sql volatile security definer set search_path = '' as $$
    select jsonb_build_object('pid', o.pid, 'user', o.who, 'application', left(regexp_replace(o.named, '[^[:print:]]', '', 'g'), 64),
                              'state', o.state, 'age_s', greatest(0, extract(epoch from clock_timestamp() - o.since))::float8)
    from (
        select a.pid, coalesce(r.rolname::text, '?') as who, coalesce(a.application_name, '') as named,
               coalesce(a.state, 'unknown') as state, a.xact_start as since
        from pg_stat_get_activity(null) a left join pg_roles r on r.oid = a.usesysid
        where a.backend_xid is not null and a.pid <> pg_backend_pid() and a.xact_start is not null
          and a.datid = (select d.oid from pg_database d where d.datname = current_database()) and ig.may_append(a.usesysid)
        union all
        select 0, x.owner::text, x.gid, 'prepared', x.prepared from pg_prepared_xacts x where x.database = current_database()
    ) o order by o.since limit 1;
$$;
