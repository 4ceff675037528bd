-- Log digests: sums that do not depend on order, kept per bucket of positions by the feed, never by a writer.

create function ig.bucket(p_position bigint) returns bigint language sql immutable parallel safe return p_position >> 12;

-- The first 8 bytes of a digest as an unsigned number.
create function ig.digest_number(d bytea) returns numeric language sql immutable parallel safe
    return mod(('x' || encode(substr(d, 1, 8), 'hex'))::bit(64)::bigint::numeric + 18446744073709551616, 18446744073709551616);

-- Count rows that have arrived and become final since the last call. One transaction with its cursor: exactly once.
create function ig.tally(p_limit int default 5000) returns int language plpgsql security definer set search_path = '' as $$
declare
    c ig.cursor;
    horizon xid8;
    n int;
begin
    insert into ig.cursor (subscriber, arrived, arrival) values ('digest', '0', 0) on conflict do nothing;
    select * into c from ig.cursor where subscriber = 'digest' for update;
    horizon := pg_snapshot_xmin(pg_current_snapshot());
    with batch as materialized (
        select r.placement, r.origin, r.life, r.position, r.digest, r.arrived, r.arrival from ig.change r
        where (r.arrived, r.arrival) > (c.arrived, c.arrival) and r.arrived < horizon
        order by r.arrived, r.arrival limit p_limit
    ), counted as (
        insert into ig.digest as d (placement, origin, life, bucket, rows, sum)
        select placement, origin, life, ig.bucket(position), count(*), mod(sum(ig.digest_number(digest)), 18446744073709551616)
        from batch group by 1, 2, 3, 4
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

-- A stub gives way to the whole row: what was counted of it is taken back, since the row will be counted again.
create function ig.untally(r ig.change) returns void language sql as $$
    update ig.digest d set rows = d.rows - 1,
        sum = mod(d.sum - ig.digest_number(r.digest) + 18446744073709551616, 18446744073709551616)
    from ig.cursor c
    where c.subscriber = 'digest' and (r.arrived, r.arrival) <= (c.arrived, c.arrival)
      and d.placement = r.placement and d.origin = r.origin and d.life = r.life and d.bucket = ig.bucket(r.position);
$$;

-- Digests up to a cut, `p_cuts`: [{origin, life, position}]. Exact in one snapshot: whole buckets as tallied, rows not
-- tallied yet, and the last bucket row by row.
create function ig.digests(p_placement text, p_cuts jsonb) returns jsonb language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object('origin', k.origin, 'life', k.life, 'position', k.position,
               'rows', t.rows, 'sum', mod(t.sum, 18446744073709551616)::text) order by k.origin, k.life), '[]')
    from jsonb_to_recordset(p_cuts) as k(origin text, life int, position bigint),
    lateral (
        select coalesce(sum(x.rows), 0) as rows, coalesce(sum(x.sum), 0) as sum from (
            select d.rows, d.sum from ig.digest d
            where d.placement = p_placement and d.origin = k.origin and d.life = k.life and d.bucket < ig.bucket(k.position)
            union all
            select 1, ig.digest_number(c.digest) from ig.change c
            where c.placement = p_placement and c.origin = k.origin and c.life = k.life
              and c.position between ig.bucket(k.position) << 12 and k.position
            union all
            select 1, ig.digest_number(c.digest) from ig.change c
            where (c.arrived, c.arrival) > coalesce((select (u.arrived, u.arrival) from ig.cursor u where u.subscriber = 'digest'),
                                                    ('0'::xid8, 0::bigint))
              and c.placement = p_placement and c.origin = k.origin and c.life = k.life
              and c.position < ig.bucket(k.position) << 12
        ) x) t;
$$;

-- Does a placement that may live here again still have stubs? Digests count them, so they are asked for by themselves.
create function ig.has_stubs(p_placement text) returns boolean language sql stable security definer set search_path = '' as $$
    select exists (select from ig.change where placement = p_placement and status = 'dropped');
$$;

-- Per bucket, to find where two regions differ. Stubs do not count: whoever has only them lacks the rows.
create function ig.digest_buckets(p_placement text, p_origin text, p_life int, p_upto bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_object_agg(b.bucket, jsonb_build_array(b.rows, b.sum::text)), '{}') from (
        select ig.bucket(c.position) as bucket, count(*) as rows, mod(sum(ig.digest_number(c.digest)), 18446744073709551616) as sum
        from ig.change c
        where c.placement = p_placement and c.origin = p_origin and c.life = p_life and c.position <= p_upto
          and c.status <> 'dropped'
        group by 1) b;
$$;
