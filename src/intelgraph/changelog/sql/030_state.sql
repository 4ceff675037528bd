-- From rows to objects. Two ways to the same state: `put` applies one row by rank; `derive` recomputes objects from the log.

create function ig.stamp(at timestamptz) returns text language sql stable parallel safe
    return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');

create function ig.entity_json(e ig.entity) returns jsonb language sql stable parallel safe
    return jsonb_build_object('kind', 'entity', 'id', e.id, 'type', e.type, 'name', e.name, 'properties', e.properties,
        'confidence', e.confidence, 'valid_from', ig.stamp(e.valid_from), 'valid_until', ig.stamp(e.valid_until),
        'sources', to_jsonb(e.sources), 'created', ig.stamp(e.created), 'updated', ig.stamp(e.updated),
        'revision', e.revision);

create function ig.relationship_json(r ig.relationship) returns jsonb language sql stable parallel safe
    return jsonb_build_object('kind', 'relationship', 'id', r.id, 'type', r.type, 'source', r.source, 'target', r.target,
        'properties', r.properties, 'confidence', r.confidence, 'valid_from', ig.stamp(r.valid_from),
        'valid_until', ig.stamp(r.valid_until), 'sources', to_jsonb(r.sources), 'created', ig.stamp(r.created),
        'updated', ig.stamp(r.updated), 'revision', r.revision);

-- The entities among the objects of some rows, as the table has them. Sorted, so that two streams that set the same
-- objects wait for each other in one order.
create function ig.entity_rows(p_placement text, p_epoch bigint, p_tenants text[], p_positions bigint[], p_objects jsonb[])
returns table (tenant text, id text, placement text, type text, name text, properties jsonb, confidence smallint,
               valid_from timestamptz, valid_until timestamptz, sources text[], created timestamptz, updated timestamptz,
               revision bigint, deleted boolean, epoch bigint, "position" bigint, words tsvector)
language sql stable as $$
    select w.tenant, o.id, p_placement, o.type, o.name, o.properties, o.confidence, o.valid_from, o.valid_until,
           o.sources, o.created, o.updated, o.revision, coalesce(o.deleted, false), p_epoch, w.position,
           ig.words(w.tenant, o.name, o.properties)
    from unnest(p_tenants, p_positions, p_objects) as w(tenant, position, objects),
         jsonb_to_recordset(w.objects) as o(kind text, id text, type text, name text, properties jsonb,
             confidence smallint, valid_from timestamptz, valid_until timestamptz, sources text[], created timestamptz,
             updated timestamptz, revision bigint, deleted boolean)
    where o.kind = 'entity'
    order by w.tenant, o.id
$$;

-- Set objects to their form in one accepted row, unless a higher rank already holds them. What is erased is looked up
-- one by one (the limit), so that no plan reads all that was ever erased.
create function ig.put(p_placement text, p_tenant text, p_epoch bigint, p_position bigint, p_objects jsonb)
returns void language plpgsql as $$
declare
    in_all int := octet_length(p_objects::text);
begin
    if in_all > ig.small_bytes() and not exists (select from ig.largest l where l.tenant = p_tenant and l.bytes >= in_all) then
        perform ig.note_largest(p_placement, p_tenant, ig.largest_of(p_objects, in_all));
    end if;
    if p_objects @> '[{"kind": "entity"}]' then
        insert into ig.entity as e (tenant, id, placement, type, name, properties, confidence, valid_from, valid_until,
                                    sources, created, updated, revision, deleted, epoch, position, words)
        select o.* from ig.entity_rows(p_placement, p_epoch, array[p_tenant], array[p_position], array[p_objects]) o
        where (select true from ig.erased x where x.tenant = p_tenant and x.touch = ig.touch(p_tenant, 'entity', o.id) limit 1) is null
        on conflict (tenant, id) do update set
            type = excluded.type, name = excluded.name, properties = excluded.properties, confidence = excluded.confidence,
            valid_from = excluded.valid_from, valid_until = excluded.valid_until, sources = excluded.sources,
            created = excluded.created, updated = excluded.updated, revision = excluded.revision,
            deleted = excluded.deleted, epoch = excluded.epoch, position = excluded.position, words = excluded.words
        where (e.epoch, e.position) < (excluded.epoch, excluded.position);
    end if;
    if not p_objects @> '[{"kind": "relationship"}]' then
        return;
    end if;
    insert into ig.relationship as r (tenant, id, placement, type, source, target, properties, confidence, valid_from,
                                      valid_until, sources, created, updated, revision, deleted, epoch, position)
    select p_tenant, o.id, p_placement, o.type, o.source, o.target, o.properties, o.confidence, o.valid_from,
           o.valid_until, o.sources, o.created, o.updated, o.revision, coalesce(o.deleted, false), p_epoch, p_position
    from jsonb_to_recordset(p_objects) as o(kind text, id text, type text, source text, target text, properties jsonb,
        confidence smallint, valid_from timestamptz, valid_until timestamptz, sources text[], created timestamptz,
        updated timestamptz, revision bigint, deleted boolean)
    where o.kind = 'relationship'
      and (select true from ig.erased x where x.tenant = p_tenant and x.touch = ig.touch(p_tenant, 'relationship', o.id) limit 1) is null
    order by o.id
    on conflict (tenant, id) do update set
        type = excluded.type, source = excluded.source, target = excluded.target, properties = excluded.properties,
        confidence = excluded.confidence, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
        sources = excluded.sources, created = excluded.created, updated = excluded.updated,
        revision = excluded.revision, deleted = excluded.deleted, epoch = excluded.epoch, position = excluded.position
    where (r.epoch, r.position) < (excluded.epoch, excluded.position);
end $$;

-- The form of an object in the highest accepted row that touches it, up to a rank if one is given, or in the snapshot
-- beneath. Rows are opened from
-- the highest down, and only until one has it: an object may have thousands of versions, each in a row of many objects.
create function ig.highest_form(p_placement text, p_tenant text, p_kind text, p_id text,
                                p_upto_epoch bigint default null, p_upto_position bigint default null,
                                out epoch bigint, out "position" bigint, out object jsonb)
language plpgsql stable as $$
declare
    c record;
    s ig.snapshot;
begin
    select * into s from ig.snapshot x where x.tenant = p_tenant and x.kind = p_kind and x.id = p_id;
    -- Found by what touches the object, whatever the statistics say: of a tail that has just arrived they say nothing,
    -- and all that its tenant ever wrote was gone through for each object.
    for c in with touching as materialized (
                 select w.origin, w.life, w.epoch, w.position, w.placement, w.tenant, w.kind, w.status from ig.change w
                 where w.touches @> array[ig.touch(p_tenant, p_kind, p_id)])
             select w.origin, w.life, w.epoch, w.position from touching w
             where w.placement = p_placement and w.tenant = p_tenant and w.kind = 'write' and w.status = 'applied'
               and (s.id is null or (w.epoch, w.position) > (s.epoch, s.position))
               and (p_upto_epoch is null or (w.epoch, w.position) <= (p_upto_epoch, p_upto_position))
             order by w.epoch desc, w.position desc
    loop
        select j.object into object from ig.change w, jsonb_array_elements(w.body -> 'objects') as j(object)
        where (w.origin, w.life, w.position) = (c.origin, c.life, c.position)
          and j.object ->> 'kind' = p_kind and j.object ->> 'id' = p_id limit 1;
        if found then
            epoch := c.epoch; "position" := c.position;
            return;
        end if;
    end loop;
    epoch := s.epoch; "position" := s.position; object := s.object;
end $$;

-- Recompute objects from the accepted rows of the log and the snapshot beneath it. `p_objects`: [{tenant, kind, id}].
create function ig.derive(p_placement text, p_objects jsonb) returns void language plpgsql as $$
declare
    o record;
    best record;
begin
    for o in select distinct x.tenant, x.kind, x.id from jsonb_to_recordset(p_objects) as x(tenant text, kind text, id text)
             where x.kind in ('entity', 'relationship') order by 1, 2, 3
    loop
        select * into best from ig.highest_form(p_placement, o.tenant, o.kind, o.id);
        if o.kind = 'entity' then
            delete from ig.entity where tenant = o.tenant and id = o.id;
        else
            delete from ig.relationship where tenant = o.tenant and id = o.id;
        end if;
        if best.object is not null then
            perform ig.put(p_placement, o.tenant, best.epoch, best.position, jsonb_build_array(best.object));
        end if;
    end loop;
end $$;

-- Take the content of erased ids out of everything held here: state, log bodies, snapshot.
create function ig.redact(p_tenant text, p_ids text[]) returns void language plpgsql as $$
declare
    hashes bigint[];
begin
    select array_agg(ig.touch(p_tenant, k, i)) into hashes
    from unnest(p_ids) i, unnest(array['entity', 'relationship']) k;
    insert into ig.erased (tenant, touch) select p_tenant, h from unnest(hashes) h on conflict do nothing;
    delete from ig.entity where tenant = p_tenant and id = any (p_ids);
    delete from ig.relationship where tenant = p_tenant and id = any (p_ids);
    delete from ig.snapshot where tenant = p_tenant and id = any (p_ids);
    update ig.change c set body = ig.without_erased(c.tenant, c.body)
    where c.touches && hashes and c.tenant = p_tenant and c.body ? 'objects';
end $$;

-- A row's body without the objects whose ids are erased. The `erased` objects themselves stay: they carry the order.
-- Total: of a body that is not what it should be nothing is kept.
create function ig.without_erased(p_tenant text, p_body jsonb) returns jsonb language sql stable as $$
    select case
        when jsonb_typeof(p_body) is distinct from 'object' then null
        when jsonb_typeof(p_body -> 'objects') is distinct from 'array' then p_body - 'objects'
        else jsonb_set(p_body, '{objects}', coalesce((
            select jsonb_agg(o.object order by o.n)
            from jsonb_array_elements(p_body -> 'objects') with ordinality as o(object, n)
            where o.object ->> 'kind' = 'erased'
               or not exists (select from ig.erased x where x.tenant = p_tenant
                              and x.touch = ig.touch(p_tenant, o.object ->> 'kind', o.object ->> 'id'))), '[]'::jsonb))
    end;
$$;

-- Does a body carry an erasure? Such rows take their placement's lock alone: an erasure must see every other row.
create function ig.erases(p_body jsonb) returns boolean language sql immutable parallel safe
    return coalesce(p_body @> '{"objects": [{"kind": "erased"}]}', false);
