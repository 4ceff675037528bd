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

-- What differs whenever other rows beyond a cut may wait for a decision than before. Nothing is counted: rows decided
-- about stay inert, and there may be thousands of them. It is read from the ends of indexes: the last decision of the
-- epoch, and the last row to arrive that does not count, once as it is, and once of those before which none can be
-- committed any more (of two streams the later row may be seen first).
create function ig.tail(p_placement text, p_epoch bigint) returns text language sql volatile as $$
    select concat_ws('/',
        (select c.position from ig.change c where c.placement = p_placement and c.epoch = p_epoch and c.kind <> 'write'
         order by c.position desc limit 1),
        (select c.arrival from ig.change c where c.placement = p_placement and c.status in ('inert', 'held', 'dropped')
         order by c.arrived desc, c.arrival desc limit 1),
        (select c.arrival from ig.change c where c.placement = p_placement and c.status in ('inert', 'held', 'dropped')
           and c.arrived < (select ig.horizon())
         order by c.arrived desc, c.arrival desc limit 1));
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
                           'tail', case when (   -- is there any row beyond a cut?
                               select true from ig.change c
                               where c.placement = p.id and c.status = 'inert' and c.kind = 'write'
                               order by c.epoch, c.position, c.origin, c.life limit 1) then ig.tail(p.id, p.epoch) end,
                           'closed', exists (select from ig.closing c where c.placement = p.id and c.epoch = p.epoch))), '{}')
                       from ig.placement p where p.epoch > 0 and r.name = any (p.regions)),
        'links', ig.links(),
        'oldest', ig.oldest_transaction(),
        'feed_silent_s', ig.feed_silent_s(),
        'troubles', (select count(*) from ig.trouble))
    from ig.region r;
$$;

-- A peer has told up to where it has this region's stream. Only ever further, within one life.
create function ig.note_has(p_peer text, p_life int, p_position bigint) returns void
language sql security definer set search_path = '' as $$
    update ig.peer set has_life = p_life, has_position = p_position
    where name = p_peer and (has_life is distinct from p_life or has_position < p_position);
$$;

-- What became of a key, in the words a caller is told: of each row, and of the key as a whole (its first outcome that
-- counts, else what its last row waits for). `remote`: it is in another region than its writer's as well.
create function ig.key_answer(p_placement text, p_tenant text, p_key text) returns jsonb
language sql stable security definer set search_path = '' as $$
    with told as (
        select n, o, o ->> 'outcome' in ('accepted', 'adopted') as counts,
            case o ->> 'outcome'
                when 'accepted' then case when c.origin <> ig.here() or exists (
                    select from ig.peer q where q.name = any (c.replicate_to) and q.has_life = c.life
                    and q.has_position >= c.position) then 'remote' else 'home-only' end
                when 'adoptable' then 'home-only'
                when 'held' then 'unknown'
                when 'adopted' then 'adopted'
                when 'rejected' then 'rejected'
                else 'conflict' end as word
        from jsonb_array_elements(ig.key_outcome(p_placement, p_tenant, p_key)) with ordinality as x(o, n)
        join ig.change c on (c.origin, c.life, c.position) =
            (split_part(o ->> 'bookmark', '/', 1), split_part(o ->> 'bookmark', '/', 2)::int, split_part(o ->> 'bookmark', '/', 4)::bigint))
    select jsonb_build_object(
        'outcome', coalesce((select word from told where counts order by n limit 1),
                            (select word from told order by n desc limit 1), 'unknown'),
        'outcomes', coalesce((select jsonb_agg(o || jsonb_build_object('outcome', word, 'class', o -> 'outcome') order by n) from told), '[]'));
$$;
