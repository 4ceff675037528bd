-- Rows beyond a cut: list them, class them whole, adopt or reject them.

-- The entities that a row deletes.
create function ig.removes(p_objects jsonb) returns text[] language sql immutable parallel safe
    return array(select o ->> 'id' from jsonb_array_elements(p_objects) o
                 where o ->> 'kind' = 'entity' and not ig.is_live(o));

-- The entities that a row's live relationships end at.
create function ig.needs(p_objects jsonb) returns text[] language sql immutable parallel safe
    return array(select distinct x from jsonb_array_elements(p_objects) o, unnest(array[o ->> 'source', o ->> 'target']) x
                 where o ->> 'kind' = 'relationship' and o ? 'source' and ig.is_live(o));

-- Would adopting a row delete an entity at which a relationship lives that the row does not delete with it? The next home
-- may have made it after the row was left behind.
create function ig.leaves_loose(r ig.change) returns boolean language sql stable as $$
    with taken as materialized (
        select array(select o ->> 'id' from jsonb_array_elements(r.body -> 'objects') o where o ->> 'kind' = 'relationship') as ids
    )
    select exists (
        select from unnest(ig.removes(r.body -> 'objects')) x(id), taken t
        where exists (select from ig.entity e where e.tenant = r.tenant and e.id = x.id and not e.deleted
                      and (e.epoch, e.position) < (r.epoch, r.position) offset 0)
          and (exists (select from ig.relationship l where l.tenant = r.tenant and l.source = x.id and not l.deleted
                       and not (l.id = any (t.ids) and (l.epoch, l.position) < (r.epoch, r.position)) offset 0)
            or exists (select from ig.relationship l where l.tenant = r.tenant and l.target = x.id and not l.deleted
                       and not (l.id = any (t.ids) and (l.epoch, l.position) < (r.epoch, r.position)) offset 0)));
$$;

-- `offset 0`: each object is looked up by its id. Without it a plan that was made while the tables were small, or before
-- the statistics knew of the tail, goes through all that the tenant has for each row.
create function ig.class_of(r ig.change) returns text language plpgsql stable as $$
begin
    if exists (select from ig.erased x where x.tenant = r.tenant and x.touch = any (r.touches)) then
        return 'illegal';
    elsif r.key_hash is not null and exists (
        select from ig.outcome o join ig.change c on (c.origin, c.life, c.position) = (o.origin, o.life, o.position)
        where o.tenant = r.tenant and o.key_hash = r.key_hash and c.status = 'applied') then
        return 'duplicate';
    elsif exists (
        select from jsonb_array_elements(r.body -> 'objects') o
        where exists (select from ig.entity e where o ->> 'kind' = 'entity' and e.tenant = r.tenant
                      and e.id = o ->> 'id' and e.epoch > r.epoch offset 0)
           or exists (select from ig.relationship l where o ->> 'kind' = 'relationship' and l.tenant = r.tenant
                      and l.id = o ->> 'id' and l.epoch > r.epoch offset 0)
           or (o ->> 'kind' = 'relationship' and o ? 'source' and exists (
                   select from unnest(array[o ->> 'source', o ->> 'target']) x
                   where not exists (select from ig.entity e where e.tenant = r.tenant and e.id = x and not e.deleted offset 0)
                     and not (exists (select from jsonb_array_elements(r.body -> 'objects') s
                                      where s ->> 'kind' = 'entity' and s ->> 'id' = x and ig.is_live(s))
                              -- Deleted since, by a row that was behind this one: adopted, this one does not bring it back.
                              and not exists (select from ig.entity e where e.tenant = r.tenant and e.id = x
                                              and (e.epoch, e.position) > (r.epoch, r.position) offset 0)))))
          or ig.leaves_loose(r) then
        return 'conflict';
    end if;
    return 'adoptable';
end $$;

-- A row that waits, as a page tells it.
create function ig.waiting_row(r ig.change) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'origin', r.origin, 'life', r.life, 'position', r.position, 'epoch', r.epoch, 'tenant', r.tenant,
        'class', ig.class_of(r), 'written_at', ig.stamp(r.written_at), 'objects', ig.result_of(r.body),
        'key', encode(r.key_hash, 'hex'),
        'removes', ig.removes(r.body -> 'objects'), 'needs', ig.needs(r.body -> 'objects'));
$$;

-- How much the rows of a page have together, one row at least: it is about what is adopted in a tenth of a second or two, and
-- so long writes wait for it.
create function ig.salvage_bytes_max() returns int language sql immutable parallel safe return 524288;

-- A page of the rows that wait for a decision, oldest first, each with its class. It goes through the inert rows after
-- `p_after` until they have `p_objects_max` objects, or those that wait have `ig.salvage_bytes_max()`; one row at least. Rows
-- decided about count as objects too, so that no page takes much longer than another, however long the tail is; what they
-- hold is not looked at. `next`: after which row to go on; none when that was all.
create function ig.salvage(p_placement text, p_after text, p_objects_max int) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    held ig.change;
    waiting jsonb[] := '{}';
    objects bigint := 0;
    bytes bigint := 0;
    gone_to text;
begin
    for held in
        select c.* from ig.change c
        where c.placement = p_placement and c.status = 'inert' and c.kind = 'write'
          and (c.epoch, c.position, c.origin, c.life) > (
              coalesce(split_part(p_after, '/', 3)::bigint, 0), coalesce(split_part(p_after, '/', 4)::bigint, 0),
              coalesce(split_part(p_after, '/', 1), ''), coalesce(split_part(p_after, '/', 2)::int, 0))
        order by c.epoch, c.position, c.origin, c.life limit p_objects_max + 1
    loop
        if gone_to is not null and (objects >= p_objects_max or bytes >= ig.salvage_bytes_max()) then
            return jsonb_build_object('rows', to_jsonb(waiting), 'next', gone_to);
        end if;
        gone_to := concat_ws('/', held.origin, held.life, held.epoch, held.position);
        objects := objects + greatest(cardinality(held.touches), 1);
        if ig.verdict(p_placement, held.origin, held.life, held.position) is null then
            bytes := bytes + octet_length(held.body::text);
            waiting := waiting || ig.waiting_row(held);
        end if;
    end loop;
    return jsonb_build_object('rows', to_jsonb(waiting), 'next', null);
end $$;

-- The ids that rows beyond a cut have erased, by tenant. Each row is found by its name: a tail that has just arrived is in
-- no statistics.
create function ig.erased_by(p_placement text, p_rows jsonb) returns table (tenant text, ids text[]) language sql stable as $$
    select c.tenant, array_agg(o ->> 'id')
    from jsonb_to_recordset(p_rows) as r(origin text, life int, position bigint)
    cross join lateral (select * from ig.change x
                        where x.origin = r.origin and x.life = r.life and x.position = r.position limit 1) c,
    jsonb_array_elements(c.body -> 'objects') o
    where c.placement = p_placement and c.status = 'inert' and c.kind = 'write' and o ->> 'kind' = 'erased'
    group by c.tenant;
$$;

-- Log the decision about whole rows. `p_rows`: [{origin, life, position}], each held here and inert.
create function ig.decide(p_placement text, p_rows jsonb, p_reason text, p_adopt boolean)
returns jsonb language plpgsql set lock_timeout = '5s' as $$
declare
    refused jsonb;
    p ig.placement;
    bad record;
    bookmark text;
begin
    perform ig.lock_placement(p_placement);
    select * into p from ig.placement where id = p_placement;
    refused := ig.fence(p_placement, p.epoch);
    if refused is not null then
        return refused;
    elsif coalesce(p_reason, '') = '' then
        return ig.refusal('reason_required', 'the decision is refused: it gives no reason');
    end if;
    select r.origin, r.life, r.position, c.status, c.tenant, c.touches into bad
    from jsonb_to_recordset(p_rows) as r(origin text, life int, position bigint)
    left join ig.change c on (c.origin, c.life, c.position) = (r.origin, r.life, r.position)
                         and c.placement = p_placement and c.kind = 'write'
    where c.status is distinct from 'inert'
       or (p_adopt and exists (select from ig.erased x where x.tenant = c.tenant and x.touch = any (c.touches)))
    limit 1;
    if found then
        return ig.refusal(case when bad.status = 'inert' then 'erased' else 'not_inert' end,
            format('cannot decide about %s/%s/%s: it is %s', bad.origin, bad.life, bad.position,
                   case bad.status when 'inert' then 'about erased ids'
                       when 'applied' then 'counted already'
                       else coalesce(bad.status, 'not held here') end));
    end if;
    -- Whoever deletes what lives at erased ids finds them by the rows that wait.
    if not p_adopt and exists (select from ig.erased_by(p_placement, p_rows) x where exists (
            select from ig.relationships_of(x.tenant, x.ids, 1))) then
        return ig.refusal('erasure_goes_on',
            'cannot decide about these rows yet: relationships still live at ids that they have erased; the home deletes these by itself, within seconds');
    end if;
    bookmark := ig.write_row(p, case when p_adopt then 'adopt' else 'reject' end, null, null, null,
        jsonb_build_object('rows', p_rows, 'reason', p_reason), '{}', p.regions, p.epoch, p.digest_key);
    if p_adopt then
        perform ig.send_named(region, p_placement, p_rows) from unnest(p.regions) region where region <> p.home;
    end if;
    return jsonb_build_object('status', 'ok', 'bookmark', bookmark);
end $$;

create function ig.adopt(p_placement text, p_rows jsonb, p_reason text) returns jsonb
language sql security definer set search_path = '' as $$ select ig.decide(p_placement, p_rows, p_reason, true) $$;
create function ig.reject(p_placement text, p_rows jsonb, p_reason text) returns jsonb
language sql security definer set search_path = '' as $$ select ig.decide(p_placement, p_rows, p_reason, false) $$;

-- The same for those of `p_rows` that are still of class `p_class` when nothing else can be written: what was classed a
-- moment ago may have been overtaken. Answers how many were decided about. It waits for the lock less long than a person
-- does: whoever wants to write waits behind it. Each row is found by its name before it is classed: a tail that has just
-- arrived is in no statistics, and all of it was classed for each page.
create function ig.decide_if(p_placement text, p_rows jsonb, p_class text, p_reason text, p_adopt boolean)
returns jsonb language plpgsql security definer set search_path = '' set lock_timeout = '1s' as $$
declare
    still jsonb;
begin
    perform ig.lock_placement(p_placement);
    with named as materialized (
        select r.origin, r.life, r.position, x.held
        from jsonb_to_recordset(p_rows) as r(origin text, life int, position bigint)
        cross join lateral (select c as held from ig.change c
                            where c.origin = r.origin and c.life = r.life and c.position = r.position limit 1) x
    )
    select jsonb_agg(jsonb_build_object('origin', n.origin, 'life', n.life, 'position', n.position)) into still
    from named n
    where (n.held).placement = p_placement and (n.held).status = 'inert' and (n.held).kind = 'write'
      and ig.verdict(p_placement, n.origin, n.life, n.position) is null and ig.class_of(n.held) = p_class;
    if still is null then
        return jsonb_build_object('status', 'ok', 'rows', 0);
    end if;
    return ig.decide(p_placement, still, p_reason, p_adopt) || jsonb_build_object('rows', jsonb_array_length(still));
end $$;

-- Delete what lives at ids that rows beyond a cut have erased. An erasure holds whatever becomes of its row; the
-- relationships that the row deleted with the entity live on while it does not count, and the next home may have made others
-- before it heard of it. One row of the log for each tenant, with as many as a row may delete; answers how many were deleted.
create function ig.unlink_erased(p_placement text, p_rows jsonb) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '1s' as $$
declare
    p ig.placement;
    refused jsonb;
    of_tenant record;
    deleted int := 0;
begin
    perform ig.lock_placement(p_placement);
    select * into p from ig.placement where id = p_placement;
    refused := ig.fence(p_placement, p.epoch);
    if refused is not null then
        return refused;
    end if;
    for of_tenant in select x.tenant, x.ids from ig.erased_by(p_placement, p_rows) x
    loop
        deleted := deleted + ig.delete_relationships(p, of_tenant.tenant, array(
            select ig.relationships_of(of_tenant.tenant, of_tenant.ids, ig.removed_together())));
    end loop;
    return jsonb_build_object('status', 'ok', 'rows', deleted);
end $$;
