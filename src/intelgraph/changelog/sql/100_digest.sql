-- Log digests: sums that do not depend on order, kept per bucket of positions by the feed, never by a writer.

create function ig.bucket(p_position bigint) returns bigint language sql immutable parallel safe return p_position >> 12;

-- The first 8 bytes of a digest as an unsigned number.
create function ig.digest_number(d bytea) returns numeric language sql immutable parallel safe
    return mod(('x' || encode(substr(d, 1, 8), 'hex'))::bit(64)::bigint::numeric + 18446744073709551616, 18446744073709551616);

-- Is a position part of what was compacted here? Its bucket's digest came with the compaction and never changes.
create function ig.is_compacted(p_placement text, p_origin text, p_life int, p_position bigint) returns boolean
language sql stable
    return exists (select from ig.compacted k where k.placement = p_placement and k.origin = p_origin and k.life = p_life
                   and k.position >= p_position);

-- Count rows that have arrived and become final since the last call. One transaction with its cursor: exactly once.
create function ig.tally(p_limit int default 5000) returns int language plpgsql security definer set search_path = '' as $$
declare
    c ig.cursor;
    horizon xid8;
    n int;
begin
    select * into c from ig.cursor where subscriber = 'digest' for update;
    horizon := ig.horizon();
    with batch as materialized (
        select r.placement, r.origin, r.life, r.position, r.digest, r.arrived, r.arrival from ig.change r
        where (r.arrived, r.arrival) > (c.arrived, c.arrival) and r.arrived < horizon
        order by r.arrived, r.arrival limit p_limit
    ), counted as (
        insert into ig.digest as d (placement, origin, life, bucket, rows, sum)
        select placement, origin, life, ig.bucket(position), count(*), mod(sum(ig.digest_number(digest)), 18446744073709551616)
        from batch b where not ig.is_compacted(b.placement, b.origin, b.life, b.position) group by 1, 2, 3, 4
        on conflict (placement, origin, life, bucket) do update
        set rows = d.rows + excluded.rows, sum = mod(d.sum + excluded.sum, 18446744073709551616)
    ), moved as (
        update ig.cursor k set arrived = b.arrived, arrival = b.arrival, moved_at = now()
        from (select arrived, arrival from batch order by arrived desc, arrival desc limit 1) b
        where k.subscriber = 'digest'
    )
    select count(*) into n from batch;
    return n;
end $$;

-- A stub gives way to the whole row: what was counted of it is taken back, since the row will be counted again. The
-- cursor's lock keeps a tally from counting the stub meanwhile.
create function ig.untally(r ig.change) returns void language plpgsql as $$
declare
    c ig.cursor;
begin
    select * into c from ig.cursor where subscriber = 'digest' for update;
    if (r.arrived, r.arrival) <= (c.arrived, c.arrival) and not ig.is_compacted(r.placement, r.origin, r.life, r.position) then
        update ig.digest d set rows = d.rows - 1,
            sum = mod(d.sum - ig.digest_number(r.digest) + 18446744073709551616, 18446744073709551616)
        where d.placement = r.placement and d.origin = r.origin and d.life = r.life and d.bucket = ig.bucket(r.position);
    end if;
end $$;

-- Count a placement anew, from the rows that are here.
create function ig.retally(p_placement text) returns void language plpgsql as $$
declare
    c ig.cursor;
begin
    select * into c from ig.cursor where subscriber = 'digest' for update;
    delete from ig.digest where placement = p_placement;
    insert into ig.digest (placement, origin, life, bucket, rows, sum)
    select r.placement, r.origin, r.life, ig.bucket(r.position), count(*), mod(sum(ig.digest_number(r.digest)), 18446744073709551616)
    from ig.change r where r.placement = p_placement and (r.arrived, r.arrival) <= (c.arrived, c.arrival) group by 1, 2, 3, 4;
end $$;

-- Digests up to a cut, `p_cuts`: [{origin, life, position}]. Exact in one snapshot: whole buckets as tallied, rows not
-- tallied yet, and the last bucket row by row.
create function ig.digests(p_placement text, p_cuts jsonb) returns jsonb language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object('origin', k.origin, 'life', k.life, 'position', k.position,
               'rows', t.rows, 'sum', mod(t.sum, 18446744073709551616)::text) order by k.origin, k.life), '[]')
    from jsonb_to_recordset(p_cuts) as k(origin text, life int, position bigint)
    join ig.cursor u on u.subscriber = 'digest',
    lateral (
        select coalesce(sum(x.rows), 0) as rows, coalesce(sum(x.sum), 0) as sum from (
            select d.rows, d.sum from ig.digest d
            where d.placement = p_placement and d.origin = k.origin and d.life = k.life
              and d.bucket < ig.bucket(k.position + 1)
            union all
            select 1, ig.digest_number(c.digest) from ig.change c
            where c.placement = p_placement and c.origin = k.origin and c.life = k.life
              and c.position between ig.bucket(k.position + 1) << 12 and k.position
            union all
            select 1, ig.digest_number(c.digest) from ig.change c
            where (c.arrived, c.arrival) > (u.arrived, u.arrival)
              and c.placement = p_placement and c.origin = k.origin and c.life = k.life
              and c.position < ig.bucket(k.position + 1) << 12
              and not ig.is_compacted(c.placement, c.origin, c.life, c.position)
        ) x) t;
$$;

-- Does a placement that may live here again still have stubs? Digests count them, so they are asked for by themselves.
create function ig.has_stubs(p_placement text) returns boolean language sql stable security definer set search_path = '' as $$
    select exists (select from ig.change where placement = p_placement and status = 'dropped');
$$;

-- Per bucket, to find where two regions differ. Stubs do not count: whoever has only them lacks the rows. What was
-- compacted counts as it was tallied, but for a bucket that is asked for in part: nobody can tell that part any more.
create function ig.digest_buckets(p_placement text, p_origin text, p_life int, p_upto bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
    with part as (
        select d.bucket, d.rows, d.sum from ig.digest d
        where d.placement = p_placement and d.origin = p_origin and d.life = p_life and d.bucket < ig.bucket(p_upto + 1)
        union all
        select ig.bucket(c.position), 1, ig.digest_number(c.digest) from ig.cursor u join ig.change c
            on (c.arrived, c.arrival) > (u.arrived, u.arrival)
        where u.subscriber = 'digest' and c.placement = p_placement and c.origin = p_origin and c.life = p_life
          and c.position < ig.bucket(p_upto + 1) << 12
          and not ig.is_compacted(p_placement, p_origin, p_life, c.position)
        union all
        select ig.bucket(c.position), 1, ig.digest_number(c.digest) from ig.change c
        where c.placement = p_placement and c.origin = p_origin and c.life = p_life
          and c.position between ig.bucket(p_upto + 1) << 12 and p_upto
          and not ig.is_compacted(p_placement, p_origin, p_life, c.position)
        union all
        select ig.bucket(c.position), -1, -ig.digest_number(c.digest) from ig.change c
        where c.placement = p_placement and c.status = 'dropped' and c.origin = p_origin and c.life = p_life
          and c.position <= p_upto and not ig.is_compacted(p_placement, p_origin, p_life, c.position)
    )
    select coalesce(jsonb_object_agg(b.bucket, jsonb_build_array(b.rows, b.sum::text)), '{}') from (
        select bucket, sum(rows) as rows, mod(mod(sum(sum), 18446744073709551616) + 18446744073709551616, 18446744073709551616) as sum
        from part group by bucket having sum(rows) > 0) b;
$$;
