-- Requests that only upsert entities, each entity and each key named once among them all: everything in two statements,
-- however many there are. It makes what ig.resolve and ig.write_row make, of the same forms; what is anything but plain
-- (a repeated key, a refusal) it leaves alone, for ig.append_one to answer.

create function ig.entity_form(p_given jsonb, p_created timestamptz, p_revision bigint, p_now text) returns jsonb
language sql stable as $$
    select jsonb_build_object('kind', 'entity', 'id', p_given -> 'id', 'type', p_given -> 'type', 'name', p_given -> 'name',
        'properties', coalesce(nullif(p_given -> 'properties', 'null'), '{}'),
        'confidence', p_given -> 'confidence',
        'valid_from', ig.stamp((p_given ->> 'valid_from')::timestamptz),
        'valid_until', ig.stamp((p_given ->> 'valid_until')::timestamptz),
        'sources', coalesce(nullif(p_given -> 'sources', 'null'), '[]'),
        'created', coalesce(ig.stamp((p_given ->> 'created')::timestamptz), ig.stamp(p_created), p_now),
        'updated', coalesce(ig.stamp((p_given ->> 'updated')::timestamptz), p_now),
        'revision', p_revision);
$$;

-- Under their locks; the answers in the order of the requests, null for each that was left alone (and where there is no
-- request: null operations). Look-ups carry a
-- limit, so that every plan of them is one look at an index for each object. Rows are written in the order of their
-- first objects, so that streams that apply them elsewhere wait for each other in one order.
create function ig.append_entities(p ig.placement, p_tenants text[], p_keys text[], p_hashes bytea[], p_ops jsonb[])
returns jsonb[] language plpgsql as $$
declare
    this_moment timestamptz := clock_timestamp();
    now_text text := ig.stamp(this_moment);
    local ig.region;
    answers jsonb[];
    large_of text[];
    large int[];
begin
    select * into local from ig.region;
    perform pg_current_xact_id();
    with given as materialized (
        select r.n, o.m, o.op, o.op -> 'entity' as entity, o.op #>> '{entity,id}' as id
        from unnest(p_ops) with ordinality as r(ops, n), jsonb_array_elements(r.ops) with ordinality as o(op, m)
    ), known as materialized (
        select g.*, ig.touch(p_tenants[g.n], 'entity', g.id) as touch, greatest(old.revision, ig.revisions_below(p.epoch)) + 1 as revision,
               case when not old.deleted then old.created end as created,
               coalesce(ig.has_shape(g.op, g.entity), false) and length(g.id) between 1 and 256
                   and coalesce(old.deleted or old.type = g.entity ->> 'type', true)
                   and case when not g.op ? 'if_revision' then true
                       else g.op ->> 'if_revision' = case when old.deleted is false then old.revision else 0 end::text end as plain
        from given g left join lateral (
            select e.type, e.revision, e.deleted, e.created from ig.entity e
            where e.tenant = p_tenants[g.n] and e.id = g.id limit 1) old on true
    ), request as materialized (
        select k.n, min(k.id) as first, array_agg(distinct k.touch) as touches,
               jsonb_agg(case when k.plain then ig.entity_form(k.entity, k.created, k.revision, now_text) end order by k.m) as objects,
               jsonb_agg(jsonb_build_object('kind', 'entity', 'id', k.id, 'revision', k.revision) order by k.m) as told
        from known k group by k.n
        having bool_and(k.plain) and count(distinct k.touch) = count(*)
           and (select true from ig.erased x where x.tenant = p_tenants[k.n] and x.touch = any (array_agg(k.touch)) limit 1) is null
           and (select true from ig.outcome x where x.tenant = p_tenants[k.n] and x.key_hash = sha256(convert_to(p_keys[k.n], 'UTF8'))
                limit 1) is null
    ), row as materialized (
        select r.*, p_tenants[r.n] as tenant, sha256(convert_to(p_keys[r.n], 'UTF8')) as key_hash,
               nextval('ig.position') as position, nextval('ig.arrival') as arrival
        from (select b.*, b.body::text as stored from (select q.*, jsonb_build_object('objects', q.objects) as body from request q) b
              order by p_tenants[b.n], b.first offset 0) r
        where octet_length(r.stored) <= ig.row_bytes_max()
    ), log as (
        insert into ig.change (origin, life, position, placement, epoch, version, kind, tenant, key_hash, request_hash,
                               replicate_to, touches, body, digest, written_at, arrived, arrival, status)
        select local.name, local.life, r.position, p.id, p.epoch,
               case when local.reads > 1 then ig.version_for(local, p.regions) else 1 end, 'write', r.tenant, r.key_hash,
               p_hashes[r.n], p.regions, r.touches, r.body,
               ig.row_digest(p.digest_key, concat_ws('/', local.name, local.life, r.position, p.id, p.epoch, 'write'), r.stored),
               this_moment, pg_current_xact_id(), r.arrival, 'applied'
        from row r
    ), key as (
        insert into ig.outcome (tenant, key_hash, origin, life, position, placement, epoch, request_hash)
        select r.tenant, r.key_hash, local.name, local.life, r.position, p.id, p.epoch, p_hashes[r.n]
        from row r where r.key_hash is not null
    ), state as (
        insert into ig.entity as e (tenant, id, placement, type, name, properties, confidence, valid_from, valid_until,
                                    sources, created, updated, revision, deleted, epoch, position, words)
        select o.* from (select array_agg(r.tenant) as tenants, array_agg(r.position) as positions,
                                array_agg(r.objects) as objects from row r) w,
                        ig.entity_rows(p.id, p.epoch, w.tenants, w.positions, w.objects) o
        on conflict (tenant, id) do update set
            type = excluded.type, name = excluded.name, properties = excluded.properties, confidence = excluded.confidence,
            valid_from = excluded.valid_from, valid_until = excluded.valid_until, sources = excluded.sources,
            created = excluded.created, updated = excluded.updated, revision = excluded.revision,
            deleted = excluded.deleted, epoch = excluded.epoch, position = excluded.position, words = excluded.words
        where (e.epoch, e.position) < (excluded.epoch, excluded.position)
    )
    select array_agg(case when r.n is not null then jsonb_build_object('status', 'ok', 'objects', r.told,
                         'bookmark', concat_ws('/', local.name, local.life, p.epoch, r.position)) end order by i),
           array_agg(r.tenant) filter (where octet_length(r.stored) > ig.small_bytes()),
           array_agg(ig.largest_of(r.objects, octet_length(r.stored))) filter (where octet_length(r.stored) > ig.small_bytes())
    into answers, large_of, large from generate_series(1, cardinality(p_ops)) i left join row r on r.n = i;
    if large is not null then
        perform ig.note_largest(p.id, x.tenant, x.bytes) from (
            select l.tenant, max(l.bytes) as bytes from unnest(large_of, large) as l(tenant, bytes)
            group by l.tenant order by l.tenant) x;
    end if;
    return answers;
end $$;
