-- Reading the log in order of arrival. A row is handed out only when every transaction older than the oldest running
-- one is over, so a cursor never passes a row that commits later. Writers notify nobody: the feed asks.

create function ig.feed(p_subscriber text, p_max int) returns table (
    arrived xid8, arrival bigint, origin text, life int, epoch bigint, "position" bigint, placement text, tenant text,
    kind text, status text, body jsonb)
language plpgsql security definer set search_path = '' as $$
declare
    c ig.cursor;
begin
    insert into ig.cursor (subscriber, arrived, arrival) values (p_subscriber, '0', 0) on conflict do nothing;
    select * into c from ig.cursor k where k.subscriber = p_subscriber;
    return query
        select r.arrived, r.arrival, r.origin, r.life, r.epoch, r.position, r.placement, r.tenant, r.kind, r.status, r.body
        from ig.change r
        where (r.arrived, r.arrival) > (c.arrived, c.arrival) and r.arrived < pg_snapshot_xmin(pg_current_snapshot())
        order by r.arrived, r.arrival limit p_max;
end $$;

create function ig.advance(p_subscriber text, p_arrived xid8, p_arrival bigint) returns void
language sql security definer set search_path = '' as $$
    update ig.cursor set arrived = p_arrived, arrival = p_arrival, moved_at = now() where subscriber = p_subscriber;
$$;

-- How far this server has flushed, and how far each destination says it has. Keys are slot names.
create function ig.flushed() returns table (slot text, reached boolean, here_lsn pg_lsn, there_lsn pg_lsn)
language sql volatile security definer set search_path = '' as $$
    with here as materialized (select pg_current_wal_flush_lsn() as lsn)
    select r.application_name, r.flush_lsn >= here.lsn, here.lsn, r.flush_lsn
    from here left join pg_stat_replication r on r.state = 'streaming';
$$;
