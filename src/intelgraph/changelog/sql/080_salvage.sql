-- Rows beyond a cut: list them, class them whole, adopt or reject them.

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
                      and e.id = o ->> 'id' and e.epoch > r.epoch)
           or exists (select from ig.relationship l where o ->> 'kind' = 'relationship' and l.tenant = r.tenant
                      and l.id = o ->> 'id' and l.epoch > r.epoch)
           or (o ->> 'kind' = 'relationship' and o ? 'source' and exists (
                   select from unnest(array[o ->> 'source', o ->> 'target']) x
                   where not exists (select from ig.entity e where e.tenant = r.tenant and e.id = x and not e.deleted)
                     and not exists (select from jsonb_array_elements(r.body -> 'objects') s
                                     where s ->> 'kind' = 'entity' and s ->> 'id' = x and ig.is_live(s))))) then
        return 'conflict';
    end if;
    return 'adoptable';
end $$;

create function ig.salvage(p_placement text) returns jsonb language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'origin', c.origin, 'life', c.life, 'position', c.position, 'epoch', c.epoch, 'tenant', c.tenant,
        'class', ig.class_of(c), 'written_at', ig.stamp(c.written_at), 'objects', ig.result_of(c.body),
        'key', encode(c.key_hash, 'hex')) order by c.epoch, c.position), '[]')
    from ig.change c
    where c.placement = p_placement and c.status = 'inert' and c.kind = 'write'
      and ig.verdict(c.placement, c.origin, c.life, c.position) is null;
$$;

-- Log the decision about whole rows. `p_rows`: [{origin, life, position}], each held here and inert.
create function ig.decide(p_placement text, p_rows jsonb, p_reason text, p_adopt boolean)
returns jsonb language plpgsql set lock_timeout = '5s' as $$
declare
    refused jsonb;
    p ig.placement;
    bad record;
    region text;
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
                   case when bad.status = 'inert' then 'about erased ids' else coalesce(bad.status, 'not held here') end));
    end if;
    if p_adopt then
        -- The rows go with the decision: a region that lacks one (the old home may be gone) must not lack what counts.
        foreach region in array p.regions loop
            perform ig.send(region, 'row', to_jsonb(c) - 'arrived' - 'arrival' - 'status')
            from jsonb_to_recordset(p_rows) as r(origin text, life int, position bigint)
            join ig.change c on (c.origin, c.life, c.position) = (r.origin, r.life, r.position)
            where region <> ig.here();
        end loop;
    end if;
    return jsonb_build_object('status', 'ok', 'bookmark', ig.write_row(
        p, case when p_adopt then 'adopt' else 'reject' end, null, null, null,
        jsonb_build_object('rows', p_rows, 'reason', p_reason), '{}', p.regions, p.epoch, p.digest_key));
end $$;

create function ig.adopt(p_placement text, p_rows jsonb, p_reason text) returns jsonb
language sql security definer set search_path = '' as $$ select ig.decide(p_placement, p_rows, p_reason, true) $$;
create function ig.reject(p_placement text, p_rows jsonb, p_reason text) returns jsonb
language sql security definer set search_path = '' as $$ select ig.decide(p_placement, p_rows, p_reason, false) $$;

-- The same for those of `p_rows` that are still of class `p_class` when nothing else can be written: what was classed a
-- moment ago may have been overtaken. Answers how many were decided about.
create function ig.decide_if(p_placement text, p_rows jsonb, p_class text, p_reason text, p_adopt boolean)
returns jsonb language plpgsql security definer set search_path = '' set lock_timeout = '5s' as $$
declare
    still jsonb;
begin
    perform ig.lock_placement(p_placement);
    select jsonb_agg(jsonb_build_object('origin', r.origin, 'life', r.life, 'position', r.position)) into still
    from jsonb_to_recordset(p_rows) as r(origin text, life int, position bigint)
    join ig.change c on (c.origin, c.life, c.position) = (r.origin, r.life, r.position)
    where c.placement = p_placement and c.status = 'inert' and c.kind = 'write'
      and ig.verdict(c.placement, c.origin, c.life, c.position) is null and ig.class_of(c) = p_class;
    if still is null then
        return jsonb_build_object('status', 'ok', 'rows', 0);
    end if;
    return ig.decide(p_placement, still, p_reason, p_adopt) || jsonb_build_object('rows', jsonb_array_length(still));
end $$;
