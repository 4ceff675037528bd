-- What the door may ask, each in one statement and one snapshot: data, staleness token and refusal together.

-- Can a bookmark that no row here has be one of this placement? Not if no such region was ever here, if another region
-- or another life of it opened the bookmark's epoch, or if it is of this database, of the open epoch, and its position was
-- never drawn. (Of an earlier epoch it is superseded, as everything beyond that epoch's cut is.)
create function ig.is_foreign(p_placement text, p_origin text, p_life int, p_epoch bigint, p_position bigint) returns boolean
language sql stable as $$
    select case when g.name = p_origin then p_life > g.life
                    or (p_life = g.life and p_position > (select case when is_called then last_value else 0 end from ig.position)
                        and not exists (select from ig.placement p where p.id = p_placement and p.epoch > p_epoch))
                else not exists (select from ig.peer q where q.name = p_origin)
                    and not exists (select from ig.epoch e where e.placement = p_placement and e.origin = p_origin)
                    and not exists (select from ig.compacted k where k.placement = p_placement and k.origin = p_origin) end
        or (exists (select from ig.epoch e where e.placement = p_placement and e.epoch = p_epoch and e.in_force)
            and not exists (select from ig.epoch e where e.placement = p_placement and e.epoch = p_epoch
                            and e.origin = p_origin and e.life = p_life))
    from ig.region g;
$$;

-- Where a bookmark stands here: visible, waiting, superseded, held, gap, not_here, foreign.
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
    elsif ig.is_foreign(p_placement, b_origin, b_life, b_epoch, b_position) then
        return 'foreign';
    elsif not ig.accepted(p_placement, b_epoch, b_origin, b_life, b_position, 'write') then
        return 'superseded';
    elsif exists (select from ig.compacted k where k.placement = p_placement and k.origin = b_origin and k.life = b_life
                  and k.position >= b_position) then
        return 'visible';
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
    return jsonb_build_object('status', case at when 'visible' then 'ok' else at end, 'home', p.home, 'largest', p.largest,
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

-- Objects in id order, for export: {"status", "objects", "next"}. A page ends after `p_max` of them, or when it
-- has `ig.page_bytes_max()`; with one object at least. Each is made when it is its turn: nothing is made to be thrown away.
create function ig.read_page(p_placement text, p_tenant text, p_kind text, p_after text, p_max int, p_bookmark text default null)
returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
    said jsonb := ig.readable(p_placement, p_bookmark);
    e ig.entity;
    r ig.relationship;
    made jsonb;
    items jsonb[] := '{}';
    bytes int := 0;
    last text;
    more boolean := false;
begin
    if said ->> 'status' <> 'ok' then
        return said;
    end if;
    if p_kind = 'entity' then
        for e in select * from ig.entity where tenant = p_tenant and placement = p_placement and id > coalesce(p_after, '')
                 and not deleted order by id limit p_max + 1 loop
            more := cardinality(items) = p_max or bytes >= ig.page_bytes_max();
            exit when more;
            made := ig.entity_json(e);
            items := items || made;
            bytes := bytes + octet_length(made::text);
            last := e.id;
        end loop;
    else
        for r in select * from ig.relationship where tenant = p_tenant and placement = p_placement
                 and id > coalesce(p_after, '') and not deleted order by id limit p_max + 1 loop
            more := cardinality(items) = p_max or bytes >= ig.page_bytes_max();
            exit when more;
            made := ig.relationship_json(r);
            items := items || made;
            bytes := bytes + octet_length(made::text);
            last := r.id;
        end loop;
    end if;
    return said || jsonb_build_object('objects', to_jsonb(items), 'next', case when more then last end);
end $$;

-- Does this region hold everything that an open's cut says of one stream? Of the prefix it knows by being settled; of
-- the positions beyond, each is of this placement and can be counted.
create function ig.holds_cut(k ig.cut) returns boolean language plpgsql stable as $$
declare
    upto bigint;
    rest int8multirange;
begin
    select greatest(max(z.position), 0) into upto from (
        select s.position from ig.settled s where s.origin = k.origin and s.life = k.life
        union all
        select c.position from ig.compacted c where c.placement = k.placement and c.origin = k.origin and c.life = k.life) z;
    rest := k.held - int8multirange(int8range(1, upto + 1));
    if k.held @> 1::bigint and upper(ig.first_range(k.held)) - 1 > upto then
        return false;
    end if;
    return isempty(rest) or (select sum(upper(r) - lower(r)) from unnest(rest) r) = (
        select count(*) from ig.change c
        where c.origin = k.origin and c.life = k.life and c.position > upto and c.position < upper(rest)
          and c.placement = k.placement and c.status <> 'dropped' and rest @> c.position);
end $$;

-- Up to which epoch are the rows here all there will be? Above `p_from`, which a reader has passed already, every open
-- must find its cut held: another region's rows of older epochs may still be on their way.
create function ig.whole_to(p_placement text, p_from bigint) returns bigint language plpgsql stable as $$
declare
    reached bigint;
    o ig.epoch;
begin
    select greatest(p_from, p.whole_epoch) into reached from ig.placement p where p.id = p_placement;
    for o in select * from ig.epoch e where e.placement = p_placement and e.in_force and e.epoch > reached order by e.epoch loop
        exit when exists (select from ig.cut k where k.placement = p_placement and k.epoch = o.epoch and k.by_origin = o.origin
                          and k.by_life = o.life and k.by_position = o.position and not ig.holds_cut(k));
        reached := o.epoch;
    end loop;
    return reached;
end $$;

create function ig.note_whole(p_placement text, p_epoch bigint) returns void language sql security definer set search_path = '' as $$
    update ig.placement set whole_epoch = p_epoch where id = p_placement and epoch = p_epoch and whole_epoch < p_epoch;
$$;

-- What one decision did to a tenant's objects: the state now of everything that the rows it names touch. What has no
-- state any more is told as deleted, at revision 0.
create function ig.decided(d ig.change, p_tenant text) returns jsonb language sql stable as $$
    select coalesce(jsonb_agg(coalesce(
        (select case when e.deleted then jsonb_build_object('kind', 'entity', 'id', e.id, 'deleted', true, 'revision', e.revision)
                     else ig.entity_json(e) end
         from ig.entity e where o.kind = 'entity' and e.tenant = p_tenant and e.id = o.id),
        (select case when r.deleted then jsonb_build_object('kind', 'relationship', 'id', r.id, 'deleted', true, 'revision', r.revision)
                     else ig.relationship_json(r) end
         from ig.relationship r where o.kind = 'relationship' and r.tenant = p_tenant and r.id = o.id),
        jsonb_build_object('kind', o.kind, 'id', o.id, 'deleted', true, 'revision', 0)) order by o.kind, o.id), '[]')
    from (
        select distinct x ->> 'kind' as kind, x ->> 'id' as id
        from ig.decision n join ig.change c on (c.origin, c.life, c.position) = (n.origin, n.life, n.position),
             jsonb_array_elements(c.body -> 'objects') x
        where n.by_origin = d.origin and n.by_life = d.life and n.by_position = d.position and n.placement = d.placement
          and c.tenant = p_tenant and x ->> 'kind' in ('entity', 'relationship')
          and (d.kind = 'adopt' or exists (          -- a reject matters only to what was adopted before
              select from ig.decision b where b.placement = n.placement and b.origin = n.origin and b.life = n.life
              and b.position = n.position and b.adopt and (b.by_epoch, b.by_position) < (d.epoch, d.position)))) o;
$$;

-- Does a decision change anything of a tenant's? Whether `ig.decided` tells anything, without telling it.
create function ig.decides(d ig.change, p_tenant text) returns boolean language sql stable as $$
    select exists (
        select from ig.decision n join ig.change c on (c.origin, c.life, c.position) = (n.origin, n.life, n.position),
             jsonb_array_elements(c.body -> 'objects') x
        where n.by_origin = d.origin and n.by_life = d.life and n.by_position = d.position and n.placement = d.placement
          and c.tenant = p_tenant and x ->> 'kind' in ('entity', 'relationship')
          and (d.kind = 'adopt' or exists (
              select from ig.decision b where b.placement = n.placement and b.origin = n.origin and b.life = n.life
              and b.position = n.position and b.adopt and (b.by_epoch, b.by_position) < (d.epoch, d.position))));
$$;

-- The next changes that `ig.read_changes` tells, at most `p_max`, in log order: rows of the log with their bodies, and
-- the ranks of what has to be put together (decisions, and what was compacted), whose `body` is null.
create function ig.changes_after(p_placement text, p_tenant text, p_epoch bigint, p_position bigint, p_whole bigint, p_max int)
returns table (kind text, origin text, life int, epoch bigint, "position" bigint, body jsonb, written_at timestamptz)
language sql stable as $$
    (select w.kind, w.origin, w.life, w.epoch, w.position, w.body, w.written_at
     from ig.change w left join ig.settled s on s.origin = w.origin and s.life = w.life
     where w.tenant = p_tenant and w.placement = p_placement and w.kind = 'write' and w.status = 'applied'
       and (w.epoch, w.position) > (p_epoch, p_position)
       and (w.epoch < p_whole or (w.epoch = p_whole and w.position <= s.position))
       and not (exists (select from ig.decision n where n.placement = p_placement and n.origin = w.origin
                        and n.life = w.life and n.position = w.position)
                and not ig.inside_cuts(p_placement, w.epoch, w.origin, w.life, w.position))
     order by w.epoch, w.position limit p_max)
    union all
    (select d.kind, d.origin, d.life, d.epoch, d.position, null, d.written_at
     from ig.change d left join ig.settled s on s.origin = d.origin and s.life = d.life
     where d.placement = p_placement and d.kind in ('adopt', 'reject') and d.status = 'applied'
       and (d.epoch, d.position) > (p_epoch, p_position)
       and (d.epoch < p_whole or (d.epoch = p_whole and d.position <= s.position))
       and ig.decides(d, p_tenant)
     order by d.epoch, d.position limit p_max)
    union all
    (select 'snapshot', max(e.origin), max(e.life), x.epoch, x.position, null, null
     from ig.snapshot x join ig.epoch e on e.placement = x.placement and e.epoch = x.epoch and e.in_force
     where x.placement = p_placement and x.tenant = p_tenant and (x.epoch, x.position) > (p_epoch, p_position)
       and x.epoch <= p_whole
     group by x.epoch, x.position order by x.epoch, x.position limit p_max)
    order by epoch, position limit p_max
$$;

-- The tenant's feed in log order: what counts after a bookmark, up to where nothing can appear below a cursor that was
-- given out: {"status", "changes", "next", "more"}. Adopted rows are of an older epoch: they are told where their
-- `adopt` stands. What was compacted is told by the latest form of each object. At home the settled position trails by
-- one look of the feed. A page ends after `p_max` changes, or when it has `p_bytes`; with one change at least.
create function ig.read_changes(p_placement text, p_tenant text, p_after text, p_max int, p_bytes int default ig.page_bytes_max())
returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
    said jsonb := ig.readable(p_placement, p_after);
    part text[] := string_to_array(p_after, '/');
    at_epoch bigint := coalesce(part[3]::bigint, 0);
    at_position bigint := coalesce(part[4]::bigint, 0);
    whole bigint;
    c record;
    objects jsonb;
    last text := p_after;
    made jsonb;
    items jsonb[] := '{}';
    bytes int := 0;
    more boolean := false;
begin
    if said ->> 'status' <> 'ok' then
        return said;
    end if;
    whole := ig.whole_to(p_placement, at_epoch);
    for c in select * from ig.changes_after(p_placement, p_tenant, at_epoch, at_position, whole, p_max + 1) loop
        more := cardinality(items) = p_max or bytes >= p_bytes;
        exit when more;
        if c.kind = 'write' then
            objects := c.body -> 'objects';
        elsif c.kind = 'snapshot' then
            select jsonb_agg(x.object order by x.kind, x.id) into objects from ig.snapshot x
            where x.placement = p_placement and x.tenant = p_tenant and x.epoch = c.epoch and x.position = c.position;
        else
            select ig.decided(d, p_tenant) into objects from ig.change d
            where (d.origin, d.life, d.position) = (c.origin, c.life, c.position);
        end if;
        last := concat_ws('/', c.origin, c.life, c.epoch, c.position);
        made := jsonb_build_object('bookmark', last, 'objects', objects, 'written_at', ig.stamp(c.written_at));
        items := items || made;
        bytes := bytes + octet_length(made::text);
    end loop;
    return said || jsonb_build_object('changes', to_jsonb(items), 'next', last, 'more', more, 'stands_ms',
        case said ->> 'home' when ig.here() then ig.stands_ms()
        else coalesce((select q.stands_ms from ig.peer q where q.name = said ->> 'home'), 0) end);
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
                           'regions', p.regions, 'hold', p.hold, 'gap', p.gap, 'whole_epoch', p.whole_epoch)), '{}') from ig.placement p),
        'troubles', (select count(*) from ig.trouble))
    from ig.region r;
$$;
