-- Compaction is a snapshot plus the deletion of a prefix. It is local: state does not change, digests are kept.

-- Rows whose part in the state can be said by a snapshot. Rows that carry an erasure stay, opens and decisions stay, and
-- so do adopted rows (a later decision may take them back) and rows that still wait for something.
create function ig.may_compact(c ig.change) returns boolean language plpgsql stable as $$
declare
    verdict boolean;
begin
    if c.kind <> 'write' or c.status = 'held' or ig.erases(c.body) then
        return false;
    end if;
    verdict := ig.verdict(c.placement, c.origin, c.life, c.position);
    return verdict is not true and (c.status <> 'inert' or verdict is not null);
end $$;

-- Fold accepted rows of one stream up to `p_upto` into the snapshot and delete them; their keys are forgotten. The
-- caller vouches that every allowed region has settled beyond `p_upto`; what this database can check, it checks.
-- Returns {"status", "rows"}.
create function ig.compact(p_placement text, p_origin text, p_life int, p_upto bigint) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' as $$
declare
    floor_at bigint := (ig.bucket(p_upto + 1) << 12) - 1;      -- whole buckets only, so that digests stay comparable
    settled bigint;
    p ig.placement;
    bad bigint;
    n bigint;
begin
    perform ig.lock_placement(p_placement);
    select * into p from ig.placement where id = p_placement;
    if p.id is null or p.hold is not null or p.gap is not null then
        return ig.refusal(case when p.id is null then 'unknown_placement' when p.hold is not null then 'held' else 'gap' end,
                          format('cannot compact %s: %s', p_placement, coalesce(p.hold, p.gap, 'it was never opened here')));
    end if;
    select position into settled from ig.settled where origin = p_origin and life = p_life;
    if floor_at > coalesce(settled, 0) then
        return ig.refusal('not_settled', format('cannot compact %s up to %s of %s/%s: it is settled up to %s only',
                                                p_placement, floor_at, p_origin, p_life, coalesce(settled, 0)));
    end if;
    select min(c.position) into bad from ig.change c
    where c.placement = p_placement and c.origin = p_origin and c.life = p_life and c.position <= floor_at
      and (c.status = 'held' or (c.status = 'inert' and c.kind = 'write'
                                 and ig.verdict(c.placement, c.origin, c.life, c.position) is null));
    if bad is not null then
        return ig.refusal('undecided', format('cannot compact %s up to %s of %s/%s: row %s is held or waits for a decision',
                                              p_placement, floor_at, p_origin, p_life, bad));
    end if;
    perform ig.tally(2147483647);
    if exists (select from ig.cursor u join ig.change c on (c.arrived, c.arrival) > (u.arrived, u.arrival)
               where u.subscriber = 'digest' and c.placement = p_placement and c.origin = p_origin and c.life = p_life
                 and c.position <= floor_at) then
        return ig.refusal('not_settled', format('cannot compact %s now: rows of it are not tallied while an old transaction runs', p_placement));
    end if;
    insert into ig.snapshot as s (placement, tenant, kind, id, epoch, position, object)
    select distinct on (c.tenant, o ->> 'kind', o ->> 'id')
           c.placement, c.tenant, o ->> 'kind', o ->> 'id', c.epoch, c.position, o
    from ig.change c, jsonb_array_elements(c.body -> 'objects') o
    where c.placement = p_placement and c.origin = p_origin and c.life = p_life and c.position <= floor_at
      and c.kind = 'write' and c.status = 'applied' and ig.may_compact(c)
    order by c.tenant, o ->> 'kind', o ->> 'id', c.epoch desc, c.position desc
    on conflict (tenant, kind, id) do update set epoch = excluded.epoch, position = excluded.position, object = excluded.object
    where (s.epoch, s.position) < (excluded.epoch, excluded.position);
    n := ig.forget_rows(p_placement, p_origin, p_life, floor_at);
    insert into ig.compacted as k (placement, origin, life, position) values (p_placement, p_origin, p_life, floor_at)
    on conflict (placement, origin, life) do update set position = greatest(k.position, excluded.position);
    return jsonb_build_object('status', 'ok', 'rows', n, 'floor', floor_at);
end $$;

-- Delete the rows of a prefix that a snapshot speaks for, and their keys; returns how many. A subscriber that has not
-- read them yet begins anew.
create function ig.forget_rows(p_placement text, p_origin text, p_life int, p_floor bigint) returns bigint
language plpgsql as $$
declare
    n bigint;
    last record;
begin
    with gone as (
        delete from ig.change c
        where c.placement = p_placement and c.origin = p_origin and c.life = p_life and c.position <= p_floor
          and c.kind = 'write' and ig.may_compact(c)
        returning c.tenant, c.key_hash, c.origin, c.life, c.position, c.arrived, c.arrival
    ), forgotten as (
        delete from ig.outcome o using gone g
        where o.tenant = g.tenant and o.key_hash = g.key_hash and (o.origin, o.life, o.position) = (g.origin, g.life, g.position)
    ), not_again as (
        delete from ig.again a using gone g where (a.origin, a.life, a.position) = (g.origin, g.life, g.position)
        returning a.arrived, a.arrival
    )
    select x.arrived, x.arrival, (select count(*) from gone) as rows into last
    from (select g.arrived, g.arrival from gone g union all select a.arrived, a.arrival from not_again a) x
    order by x.arrived desc, x.arrival desc limit 1;
    n := coalesce(last.rows, 0);
    if n > 0 then
        perform ig.lift_feed_floor(last.arrived, last.arrival);
    end if;
    return n;
end $$;

-- Send what was compacted to one region: objects by the page (of `p_limit` objects and of bytes), then how far they reach
-- and the digests beneath.
create function ig.reissue_snapshot(p_placement text, p_destination text, p_after jsonb default null, p_limit int default 500)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    p ig.placement;
    s ig.snapshot;
    page jsonb[] := '{}';
    bytes bigint := 0;
    more boolean := false;
begin
    perform ig.lock_placement_shared(p_placement);
    select * into p from ig.placement where id = p_placement;
    if p.id is null or not p_destination = any (p.regions) or not ig.here() = any (p.regions) then
        return ig.refusal('region_not_allowed', format('cannot reissue %s to %s: it may live in %s only', p_placement,
                                                       p_destination, coalesce(array_to_string(p.regions, ', '), 'no region known here')));
    end if;
    for s in select * from ig.snapshot x
             where x.placement = p_placement
               and (p_after is null or (x.tenant, x.kind, x.id) > (p_after ->> 0, p_after ->> 1, p_after ->> 2))
             order by x.tenant, x.kind, x.id limit p_limit + 1 loop
        more := cardinality(page) = p_limit or bytes >= ig.page_bytes_max();
        exit when more;
        page := page || to_jsonb(s);
        bytes := bytes + octet_length(s.object::text);
    end loop;
    if more then
        perform ig.send(p_destination, 'snapshot', jsonb_build_object('placement', p_placement, 'objects', to_jsonb(page)));
        return jsonb_build_object('status', 'ok', 'next', jsonb_build_array(
            page[cardinality(page)] -> 'tenant', page[cardinality(page)] -> 'kind', page[cardinality(page)] -> 'id'));
    end if;
    perform ig.send(p_destination, 'snapshot', jsonb_build_object('placement', p_placement, 'objects', to_jsonb(page),
        'floors', (select coalesce(jsonb_agg(to_jsonb(k)), '[]') from ig.compacted k where k.placement = p_placement),
        'digests', (select coalesce(jsonb_agg(to_jsonb(d)), '[]') from ig.digest d join ig.compacted k
                    on k.placement = d.placement and k.origin = d.origin and k.life = d.life and d.bucket <= ig.bucket(k.position)
                    where d.placement = p_placement)));
    return jsonb_build_object('status', 'ok', 'next', null);
end $$;

-- Take the sender's compaction over: its objects by rank, then its floors and digests, and drop the rows beneath. What
-- is kept beneath (erasures, opens, decisions, adopted rows) is counted in the sender's digests, so that nobody would miss
-- it any more: it comes by reissue before the floors do.
create function ig.take_snapshot(m jsonb) returns void language plpgsql as $$
declare
    s record;
    f record;
    p_placement text := m ->> 'placement';
begin
    perform ig.lock_placement(p_placement);
    if not exists (select from ig.placement p where p.id = p_placement and p.epoch > 0 and ig.here() = any (p.regions)) then
        return;
    end if;
    for s in select * from jsonb_populate_recordset(null::ig.snapshot, m -> 'objects') loop
        continue when s.placement is distinct from p_placement or ig.is_erased(s.tenant, s.kind, s.id);
        insert into ig.snapshot as x values (s.placement, s.tenant, s.kind, s.id, s.epoch, s.position, s.object)
        on conflict (tenant, kind, id) do update set epoch = excluded.epoch, position = excluded.position, object = excluded.object
        where (x.epoch, x.position) < (excluded.epoch, excluded.position);
        perform ig.put(s.placement, s.tenant, s.epoch, s.position, jsonb_build_array(s.object));
    end loop;
    if not m ? 'floors' then
        return;
    end if;
    perform from ig.cursor where subscriber = 'digest' for update;
    -- No row told subscribers of these objects.
    perform ig.lift_feed_floor(pg_current_xact_id(), nextval('ig.arrival'));
    for f in select * from jsonb_populate_recordset(null::ig.compacted, m -> 'floors') loop
        continue when f.placement is distinct from p_placement
            or ig.is_compacted(p_placement, f.origin, f.life, f.position);
        perform ig.forget_rows(p_placement, f.origin, f.life, f.position);
        delete from ig.digest d where d.placement = p_placement and d.origin = f.origin and d.life = f.life
            and d.bucket <= ig.bucket(f.position);
        insert into ig.digest select x.* from jsonb_populate_recordset(null::ig.digest, m -> 'digests') x
        where x.placement = p_placement and x.origin = f.origin and x.life = f.life and x.bucket <= ig.bucket(f.position);
        insert into ig.compacted as k values (p_placement, f.origin, f.life, f.position)
        on conflict (placement, origin, life) do update set position = excluded.position;
    end loop;
end $$;
