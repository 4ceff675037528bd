-- What the door may ask, each in one statement and one snapshot: data, staleness token and refusal together.

-- Where a bookmark stands here: visible, waiting, superseded, held, gap, not_here.
create function ig.locate(p_placement text, p_bookmark text) returns text language plpgsql stable security definer set search_path = '' as $$
declare
    part text[] := string_to_array(p_bookmark, '/');
    b_origin text := part[1];
    b_life int := part[2];
    b_epoch bigint := part[3];
    b_position bigint := part[4];
    found_status text;
begin
    select c.status into found_status from ig.change c
    where c.origin = b_origin and c.life = b_life and c.position = b_position and c.placement = p_placement
      and c.epoch = b_epoch;
    if found then
        return case found_status when 'applied' then 'visible' when 'inert' then 'superseded' when 'held' then 'held'
               else 'not_here' end;
    elsif exists (select from ig.compacted k where k.placement = p_placement and k.origin = b_origin and k.life = b_life
                  and k.position >= b_position) then
        return 'visible';
    elsif not ig.inside_cuts(p_placement, b_epoch, b_origin, b_life, b_position)
          and not coalesce(ig.verdict(p_placement, b_origin, b_life, b_position), false) then
        return 'superseded';
    elsif exists (select from ig.placement p where p.id = p_placement and p.gap is not null) then
        return 'gap';
    end if;
    return 'waiting';
end $$;

-- May this region answer reads of a placement at this bookmark? {"status", "home", "token_ns", "reason"}; status `ok` when it may.
create function ig.readable(p_placement text, p_bookmark text) returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
    p ig.placement;
    at text := 'visible';
    here text := ig.here();
begin
    select * into p from ig.placement where id = p_placement;
    if p.id is null or not here = any (p.regions) then
        return jsonb_build_object('status', 'not_here', 'reason', format('placement %s is not kept in %s', p_placement, here));
    elsif p.hold is not null then
        return jsonb_build_object('status', 'held', 'home', p.home, 'reason', format('placement %s is held in %s: %s', p_placement, here, p.hold));
    elsif p.gap is not null then
        return jsonb_build_object('status', 'gap', 'home', p.home, 'reason', format('placement %s may lack rows in %s: %s', p_placement, here, p.gap));
    end if;
    if p_bookmark is not null then
        at := ig.locate(p_placement, p_bookmark);
    end if;
    return jsonb_build_object('status', case at when 'visible' then 'ok' else at end, 'home', p.home,
        'token_ns', case when p.home <> here then (select q.token_ns from ig.peer q where q.name = p.home) end);
end $$;

create function ig.read_entity(p_placement text, p_tenant text, p_id text, p_bookmark text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    answer jsonb := ig.readable(p_placement, p_bookmark);
begin
    if answer ->> 'status' <> 'ok' then
        return answer;
    end if;
    return answer || coalesce((
        select jsonb_build_object('entity', ig.entity_json(e) - 'kind', 'bookmark', concat_ws('/', o.origin, o.life, e.epoch, e.position))
        from ig.entity e left join ig.epoch o on o.placement = e.placement and o.epoch = e.epoch and o.in_force
        where e.tenant = p_tenant and e.id = p_id and e.placement = p_placement and not e.deleted limit 1),
        '{"entity": null}');
end $$;

-- Objects in id order, for export: {"status", "objects", "next"}.
create function ig.read_page(p_placement text, p_tenant text, p_kind text, p_after text, p_max int, p_bookmark text default null)
returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
    answer jsonb := ig.readable(p_placement, p_bookmark);
    objects jsonb;
begin
    if answer ->> 'status' <> 'ok' then
        return answer;
    end if;
    if p_kind = 'entity' then
        select coalesce(jsonb_agg(ig.entity_json(e) order by e.id), '[]') into objects from (
            select * from ig.entity where tenant = p_tenant and placement = p_placement and id > coalesce(p_after, '') and not deleted
            order by id limit p_max) e;
    else
        select coalesce(jsonb_agg(ig.relationship_json(r) order by r.id), '[]') into objects from (
            select * from ig.relationship where tenant = p_tenant and placement = p_placement and id > coalesce(p_after, '') and not deleted
            order by id limit p_max) r;
    end if;
    return answer || jsonb_build_object('objects', objects,
        'next', case when jsonb_array_length(objects) = p_max then objects -> -1 -> 'id' end);
end $$;

-- The tenant's feed in log order: accepted rows after a bookmark, up to what is settled, so that nothing can appear
-- below a cursor that was given out. At home the settled position trails by one look of the feed.
create function ig.read_changes(p_placement text, p_tenant text, p_after text, p_max int) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    answer jsonb := ig.readable(p_placement, p_after);
    part text[] := string_to_array(p_after, '/');
    changes jsonb;
begin
    if answer ->> 'status' <> 'ok' then
        return answer;
    end if;
    select coalesce(jsonb_agg(jsonb_build_object('bookmark', concat_ws('/', c.origin, c.life, c.epoch, c.position),
               'objects', c.body -> 'objects', 'written_at', ig.stamp(c.written_at)) order by c.epoch, c.position), '[]')
    into changes from (
        select c.* from ig.change c
        join ig.settled s on s.origin = c.origin and s.life = c.life and c.position <= s.position
        where c.tenant = p_tenant and c.placement = p_placement and c.kind = 'write' and c.status = 'applied'
          and (p_after is null or (c.epoch, c.position) > (part[3]::bigint, part[4]::bigint))
        order by c.epoch, c.position limit p_max) c;
    return answer || jsonb_build_object('changes', changes,
        'next', coalesce(changes -> -1 -> 'bookmark', to_jsonb(p_after)));
end $$;

-- Every row that carried a key, and what became of it.
create function ig.key_outcome(p_placement text, p_tenant text, p_key text) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object('bookmark', concat_ws('/', c.origin, c.life, c.epoch, c.position),
        'outcome', case
            when c.status = 'held' then 'held'
            when v.verdict then 'adopted'
            when c.status = 'applied' then 'accepted'
            when v.verdict = false then 'rejected'
            else ig.class_of(c) end,
        'objects', ig.result_of(c.body), 'written_at', ig.stamp(c.written_at)) order by c.epoch, c.position), '[]')
    from ig.outcome o
    join ig.change c on (c.origin, c.life, c.position) = (o.origin, o.life, o.position)
    cross join lateral (select ig.verdict(c.placement, c.origin, c.life, c.position) as verdict) v
    where o.tenant = p_tenant and o.key_hash = sha256(convert_to(p_key, 'UTF8')) and o.placement = p_placement;
$$;

-- What /readyz and `intelgraph status` say of this database.
create function ig.report() returns jsonb language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'region', r.name, 'life', r.life,
        'position', (select case when is_called then last_value else 0 end from ig.position),
        'settled', (select coalesce(jsonb_object_agg(s.origin || '/' || s.life, s.position), '{}') from ig.settled s),
        'peers', (select coalesce(jsonb_object_agg(q.name, jsonb_build_object('token_ns', q.token_ns, 'heard_at', q.heard_at,
                                                                              'reads', q.reads)), '{}') from ig.peer q),
        'placements', (select coalesce(jsonb_object_agg(p.id, jsonb_build_object('epoch', p.epoch, 'home', p.home,
                           'regions', p.regions, 'hold', p.hold, 'gap', p.gap)), '{}') from ig.placement p),
        'troubles', (select count(*) from ig.trouble))
    from ig.region r;
$$;
