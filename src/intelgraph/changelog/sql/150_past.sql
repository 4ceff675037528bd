-- What was: the versions of one object, and the graph as of a place in the log. A place is a rank (epoch, position). The
-- state as of it is what the accepted rows up to it make, as they are judged now: rows that were adopted later count
-- where they stand. Everything here is about the tenant that the statement has set, or about nothing.

create function ig.past_refused(p_code text, p_why text) returns jsonb language sql immutable parallel safe
    return jsonb_build_object('status', 'refused', 'code', p_code, 'reason', 'the past is refused: ' || p_why);

-- Where a bookmark, or else a time, stands: {"refused": {"status", "code", "reason"}}, or the rank, and a bookmark that names it.
-- The rows up to it are settled, so that it always means the same. `p_whole`: lists of objects will be asked for; then
-- what was written since must be few enough to be undone.
create function ig.point(p_tenant text, p_placement text, p_bookmark text, p_at timestamptz, p_whole boolean,
                         out refused jsonb, out epoch bigint, out "position" bigint, out bookmark text)
language plpgsql stable security definer set search_path = '' as $$
declare
    undone_max constant bigint := 50000;
    ahead_s_max constant int := 60;             -- clients' clocks are ahead of ours
    part text[] := string_to_array(p_bookmark, '/');
    whole bigint := ig.whole_to(p_placement, 0);
    seen text;
begin
    if p_tenant is distinct from current_setting('ig.tenant', true) then
        return;
    elsif p_bookmark is not null then
        seen := ig.locate(p_placement, p_bookmark);
        epoch := part[3]; "position" := part[4]; bookmark := p_bookmark;
        if seen = 'visible' and (epoch > whole or (epoch = whole and not exists (
                select from ig.settled s where s.origin = part[1] and s.life = part[2]::int and s.position >= point."position"))) then
            seen := 'waiting';
        end if;
        if seen <> 'visible' then
            refused := case seen when 'waiting' then jsonb_build_object('status', 'unsettled',
                'reason', format('the past is refused: the write %s is not settled here yet', p_bookmark))
            when 'not_here' then ig.past_refused('bad_bookmark', format('the write %s is not kept here', p_bookmark))
            when 'foreign' then ig.past_refused('bad_bookmark', format('no write of this graph can have the bookmark %s: '
                                                                       'it is of another graph, or of data that was wiped', p_bookmark))
            when 'superseded' then ig.past_refused('superseded', format('the write %s was cut off when a later epoch opened '
                                                                        'and has not been adopted', p_bookmark))
            else jsonb_build_object('status', seen, 'reason', format('the past is refused: the write %s is held here: %s',
                                                                     p_bookmark, seen)) end;
            return;
        end if;
    else
        if p_at > clock_timestamp() + make_interval(secs => ahead_s_max) then
            refused := ig.past_refused('bad_argument', format('that time has not come yet; up to %s s ahead of the clock here mean now',
                                                              ahead_s_max));
            return;
        end if;
        select w.epoch, w.position, concat_ws('/', w.origin, w.life, w.epoch, w.position) into epoch, "position", bookmark
        from ig.change w left join ig.settled s on s.origin = w.origin and s.life = w.life
        where w.tenant = p_tenant and w.placement = p_placement and w.kind = 'write' and w.status = 'applied'
          and w.written_at <= p_at and (w.epoch < whole or (w.epoch = whole and w.position <= s.position))
        order by w.epoch desc, w.position desc limit 1;
        epoch := coalesce(epoch, 0); "position" := coalesce("position", 0);
    end if;
    if exists (select from ig.snapshot s where s.placement = p_placement and s.tenant = p_tenant
               and (s.epoch, s.position) > (point.epoch, point."position")) then
        refused := ig.past_refused('past_not_kept', 'the log of that time was compacted; only what is later can be asked for');
    elsif p_whole and (select sum(cardinality(w.touches)) from ig.change w
                       where w.tenant = p_tenant and w.kind = 'write' and w.placement = p_placement
                         and (w.epoch, w.position) > (point.epoch, point."position")) > undone_max then
        refused := ig.past_refused('past_too_far', format('what was written since touches more than %s objects; '
                                                          'one object at a time can still be asked for', undone_max));
    end if;
end $$;

-- Earlier forms, at most up to a rank, of what was written after it. What did not exist then has none.
create function ig.undone(p_tenant text, p_placement text, p_kind text, p_epoch bigint, p_position bigint)
returns table (epoch bigint, "position" bigint, object jsonb)
language sql stable security definer set search_path = '' as $$
    select f.epoch, f.position, f.object
    from (select distinct o.object ->> 'id' as id
          from ig.change w, jsonb_array_elements(w.body -> 'objects') o(object)
          where p_tenant = current_setting('ig.tenant', true) and w.tenant = p_tenant and w.placement = p_placement
            and w.kind = 'write' and w.status = 'applied' and (w.epoch, w.position) > (p_epoch, p_position)
            and o.object ->> 'kind' = p_kind) later
    cross join lateral ig.highest_form(p_placement, p_tenant, p_kind, later.id, p_epoch, p_position) f
    where f.object is not null
$$;

-- One object's form as of a rank; nothing if it did not exist.
create function ig.form_then(p_tenant text, p_placement text, p_kind text, p_id text, p_epoch bigint, p_position bigint)
returns table (epoch bigint, "position" bigint, object jsonb)
language sql stable security definer set search_path = '' as $$
    select f.epoch, f.position, f.object
    from ig.highest_form(p_placement, p_tenant, p_kind, p_id, p_epoch, p_position) f
    where p_tenant = current_setting('ig.tenant', true) and f.object is not null
$$;

create function ig.as_entity(p_tenant text, p_placement text, p_epoch bigint, p_position bigint, p_object jsonb)
returns ig.entity language sql stable parallel safe
    return jsonb_populate_record(null::ig.entity, p_object || jsonb_build_object('tenant', p_tenant, 'placement', p_placement,
        'epoch', p_epoch, 'position', p_position, 'deleted', coalesce((p_object ->> 'deleted')::boolean, false),
        'words', ig.words(p_tenant, p_object ->> 'name', p_object -> 'properties')));

create function ig.as_relationship(p_tenant text, p_placement text, p_epoch bigint, p_position bigint, p_object jsonb)
returns ig.relationship language sql stable parallel safe
    return jsonb_populate_record(null::ig.relationship, p_object || jsonb_build_object('tenant', p_tenant,
        'placement', p_placement, 'epoch', p_epoch, 'position', p_position,
        'deleted', coalesce((p_object ->> 'deleted')::boolean, false)));

-- The versions of an id, newest first, from before a rank if one is given, with the form that a snapshot keeps of it.
create function ig.versions(p_tenant text, p_placement text, p_id text, p_before text, p_max int)
returns table (epoch bigint, "position" bigint, bookmark text, written_at timestamptz, object jsonb, oldest boolean)
language sql stable security definer set search_path = '' as $$
    with until as materialized (
        select coalesce((string_to_array(p_before, '/'))[3]::bigint, 9223372036854775807) as epoch,
               coalesce((string_to_array(p_before, '/'))[4]::bigint, 9223372036854775807) as position)
    select * from (
        (select c.epoch, c.position, c.bookmark, c.written_at, o.object, false
         from (select w.epoch, w.position, concat_ws('/', w.origin, w.life, w.epoch, w.position) as bookmark, w.written_at, w.body
               from ig.change w, until u
               where w.touches && array[ig.touch(p_tenant, 'entity', p_id), ig.touch(p_tenant, 'relationship', p_id)]
                 and p_tenant = current_setting('ig.tenant', true) and w.tenant = p_tenant and w.placement = p_placement
                 and w.kind = 'write' and w.status = 'applied' and (w.epoch, w.position) < (u.epoch, u.position)
               order by w.epoch desc, w.position desc) c
         cross join lateral jsonb_array_elements(c.body -> 'objects') as o(object)
         where o.object ->> 'id' = p_id limit p_max)
        union all
        select s.epoch, s.position, concat_ws('/', e.origin, e.life, s.epoch, s.position), null, s.object, true
        from until u, ig.snapshot s join ig.epoch e on e.placement = s.placement and e.epoch = s.epoch and e.in_force
        where p_tenant = current_setting('ig.tenant', true) and s.tenant = p_tenant and s.placement = p_placement
          and s.kind in ('entity', 'relationship') and s.id = p_id and (s.epoch, s.position) < (u.epoch, u.position)) v
    order by 1 desc, 2 desc limit p_max
$$;

revoke all on function
    ig.past_refused(text, text), ig.point(text, text, text, timestamptz, boolean), ig.undone(text, text, text, bigint, bigint),
    ig.form_then(text, text, text, text, bigint, bigint), ig.versions(text, text, text, text, int),
    ig.as_entity(text, text, bigint, bigint, jsonb), ig.as_relationship(text, text, bigint, bigint, jsonb)
from public;
grant execute on function
    ig.point(text, text, text, timestamptz, boolean), ig.undone(text, text, text, bigint, bigint),
    ig.form_then(text, text, text, text, bigint, bigint), ig.versions(text, text, text, text, int),
    ig.as_entity(text, text, bigint, bigint, jsonb), ig.as_relationship(text, text, bigint, bigint, jsonb)
to ig_api;
