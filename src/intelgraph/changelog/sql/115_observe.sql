-- What a region's agent looks at, several times a second, in one statement: what is here, what has been confirmed
-- elsewhere, and what is wrong with the links. Names and numbers only.

-- Streams that are handed out and taken in, as this server sees them. A slot that was made anew skips what was written
-- before it: `made` counts, and `made_s` tells how long ago the last one was.
create function ig.links() returns jsonb language sql volatile security definer set search_path = '' as $$
    select jsonb_build_object(
        'slots', (select coalesce(jsonb_object_agg(s.slot_name, jsonb_build_object(
                      'active', s.active, 'lost', s.wal_status is not distinct from 'lost',
                      'kept_bytes', pg_wal_lsn_diff(pg_current_wal_lsn(), s.confirmed_flush_lsn)::bigint,
                      'flushed', f.lsn::text)), '{}')
                  from pg_get_replication_slots() s left join ig.flushed() f on f.slot = s.slot_name
                  where s.slot_type = 'logical'),
        'made', (select coalesce(jsonb_object_agg(q.name, jsonb_build_object(
                     'times', q.slots_made, 's_ago', extract(epoch from clock_timestamp() - q.slot_made_at)::float8)), '{}')
                 from ig.peer q where q.slots_made > 0),
        'subscriptions', (select coalesce(jsonb_object_agg(b.subname, b.subenabled), '{}') from pg_subscription b));
$$;

create function ig.observe() returns jsonb language sql volatile security definer set search_path = '' as $$
    select jsonb_build_object(
        'region', r.name, 'life', r.life, 'schema', r.schema_digest,
        'flush', pg_current_wal_flush_lsn()::text,
        'settled', (select coalesce(jsonb_object_agg(s.origin || '/' || s.life, s.position), '{}') from ig.settled s),
        'tokens', (select coalesce(jsonb_object_agg(q.name, q.token_ns), '{}') from ig.peer q where q.token_ns is not null),
        'placements', (select coalesce(jsonb_object_agg(p.id, jsonb_build_object(
                           'epoch', p.epoch, 'home', p.home, 'hold', p.hold, 'gap', p.gap,
                           'whole', ig.whole_to(p.id, 0) >= p.epoch,
                           'closed', exists (select from ig.closing c where c.placement = p.id and c.epoch = p.epoch))), '{}')
                       from ig.placement p where p.epoch > 0 and r.name = any (p.regions)),
        'links', ig.links(),
        'troubles', (select count(*) from ig.trouble))
    from ig.region r;
$$;
