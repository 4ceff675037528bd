-- Reading the log in order of arrival. A row is handed out only when every transaction below the horizon (of those that
-- may hold positions) is over, so a cursor never passes a row that commits later. Writers notify nobody: the feed asks.

-- For how long the feed at work (it holds this lock) has asked nothing; null: none is at work. It asks many times a second:
-- one that is stopped where it is keeps its session, and its lock.
create function ig.feed_silent_s() returns float8 language sql volatile security definer set search_path = '' as $$
    select max(extract(epoch from clock_timestamp() - a.query_start))::float8
    from pg_locks l, pg_stat_get_activity(l.pid) a
    where l.locktype = 'advisory' and l.classid = 7 and l.objid = 1 and l.granted
      and l.database = (select d.oid from pg_database d where d.datname = current_database());
$$;

-- The next rows for a subscriber, after its cursor: those that arrived, and again those whose status has changed since.
-- A batch ends after `p_max` rows, or when it has `p_bytes`; with one row at least. `p_bodies`: whether to read bodies.
create function ig.feed(p_subscriber text, p_max int, p_bytes bigint, p_bodies boolean) returns table (
    arrived xid8, arrival bigint, origin text, life int, epoch bigint, "position" bigint, placement text, tenant text,
    kind text, status text, body jsonb)
language plpgsql security definer set search_path = '' as $$
declare
    c ig.cursor;
    r record;
    bytes bigint := 0;
    final xid8 := ig.horizon();
begin
    select * into c from ig.cursor k where k.subscriber = p_subscriber;
    for r in (select x.arrived as at, x.arrival as n, x.origin, x.life, x.epoch, x.position, x.placement, x.tenant, x.kind,
                     x.status, x.body
              from ig.change x where (x.arrived, x.arrival) > (c.arrived, c.arrival) and x.arrived < final
              order by x.arrived, x.arrival limit p_max)
             union all
             (select a.arrived, a.arrival, x.origin, x.life, x.epoch, x.position, x.placement, x.tenant, x.kind, x.status, x.body
              from ig.again a, lateral (
                  select * from ig.change w where w.origin = a.origin and w.life = a.life and w.position = a.position limit 1) x
              where (a.arrived, a.arrival) > (c.arrived, c.arrival) and a.arrived < final
              order by a.arrived, a.arrival limit p_max)
             order by at, n limit p_max loop
        exit when bytes >= p_bytes;
        if p_bodies then
            body := r.body;
            bytes := bytes + octet_length(coalesce(body::text, ''));
        end if;
        arrived := r.at; arrival := r.n; origin := r.origin; life := r.life; epoch := r.epoch; "position" := r.position;
        placement := r.placement; tenant := r.tenant; kind := r.kind; status := r.status;
        return next;
    end loop;
end $$;

-- Move a subscriber's cursor on, never back, and forget what nobody has to be told again.
create function ig.advance(p_subscriber text, p_arrived xid8, p_arrival bigint) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update ig.cursor set arrived = p_arrived, arrival = p_arrival, moved_at = now()
    where subscriber = p_subscriber and (arrived, arrival) < (p_arrived, p_arrival);
    delete from ig.again a where not exists (
        select from ig.cursor k where k.subscriber <> 'digest' and (k.arrived, k.arrival) < (a.arrived, a.arrival));
end $$;

-- The slot that a region keeps for another: `slot_name` of links.py.
create function ig.slot_name(p_origin text, p_destination text) returns text language sql immutable as $$
    select case when length(n) <= 63 then n else left(n, 54) || '_' || left(md5(n), 8) end
    from replace(p_origin || '__' || p_destination, '-', '_') n;
$$;

-- How far each destination says it has flushed what this server wrote. It is asked hundreds of times a second while
-- somebody waits: pg_stat_replication would look at every session for it. (A slot's own confirmed_flush_lsn will not do:
-- an operator may have moved it past rows that were never delivered.) `since`: it says nothing of what was written up to
-- there, since the slot was made anew, or moved.
create function ig.flushed() returns table (slot text, lsn pg_lsn, since pg_lsn)
language sql volatile security definer set search_path = '' as $$
    select s.slot_name, w.flush_lsn, q.slot_from
    from pg_stat_get_wal_senders() w join pg_get_replication_slots() s on s.active_pid = w.pid
    left join (ig.region g cross join ig.peer q) on s.slot_name = ig.slot_name(g.name, q.name)
    where w.state = 'streaming' and w.flush_lsn is not null;
$$;
