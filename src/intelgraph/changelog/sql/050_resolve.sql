-- What the revisions of an epoch's forms are above: (epoch - 1) * 2^32. So no two epochs make the same revision, and who
-- has read a form that was left behind with a lost home changes nothing by `if_revision` that the next home made.
create function ig.revisions_below(p_epoch bigint) returns bigint language sql immutable parallel safe
    return (p_epoch - 1) << 32;

-- From operations to whole resulting objects. Reads state under the append's locks and writes nothing.
-- Operations see the ones before them: `ids` and `objects` are the request's working set, one object per (kind, id).

-- One object outside the working set, live, deleted or erased, as far as an operation needs it; null: there is none.
create function ig.standing(p_tenant text, p_kind text, p_id text) returns jsonb language plpgsql stable as $$
declare
    found jsonb;
begin
    if p_kind = 'entity' then
        select case when x.touch is not null then '{"kind": "erased"}' when e.id is not null then
                   jsonb_build_object('kind', 'entity', 'id', e.id, 'type', e.type, 'revision', e.revision,
                                      'deleted', e.deleted, 'created', ig.stamp(e.created)) end
        into found from (values (ig.touch(p_tenant, 'entity', p_id))) n(touch)
        left join ig.erased x on x.tenant = p_tenant and x.touch = n.touch
        left join ig.entity e on e.tenant = p_tenant and e.id = p_id;
    else
        select case when x.touch is not null then '{"kind": "erased"}' when r.id is not null then
                   jsonb_build_object('kind', 'relationship', 'id', r.id, 'type', r.type, 'source', r.source,
                                      'target', r.target, 'revision', r.revision, 'deleted', r.deleted,
                                      'created', ig.stamp(r.created)) end
        into found from (values (ig.touch(p_tenant, 'relationship', p_id))) n(touch)
        left join ig.erased x on x.tenant = p_tenant and x.touch = n.touch
        left join ig.relationship r on r.tenant = p_tenant and r.id = p_id;
    end if;
    return found;
end $$;

create function ig.is_live(p_object jsonb) returns boolean language sql immutable
    return p_object is not null and p_object ->> 'kind' <> 'erased'
       and not coalesce((p_object ->> 'deleted')::boolean, false);

-- Does an entity exist for a relationship to end at, in the working set or in the tables?
create function ig.entity_is_live(p_tenant text, p_id text, ids text[], objects jsonb[]) returns boolean
language plpgsql stable as $$
declare
    i int := array_position(ids, 'entity ' || p_id);
begin
    if i is not null then
        return ig.is_live(objects[i]);
    end if;
    return exists (select from ig.entity where tenant = p_tenant and id = p_id and not deleted);
end $$;

-- What an id is that is no live entity: `erased`, `deleted`, `relationship` or `absent`.
create function ig.why_no_entity(p_tenant text, p_id text, ids text[], objects jsonb[]) returns text
language plpgsql stable as $$
declare
    i int := array_position(ids, 'entity ' || p_id);
    entity jsonb := case when i is not null then objects[i] else ig.standing(p_tenant, 'entity', p_id) end;
begin
    if entity is not null then
        return case entity ->> 'kind' when 'erased' then 'erased' else 'deleted' end;
    end if;
    i := array_position(ids, 'relationship ' || p_id);
    return case when ig.is_live(case when i is not null then objects[i] else ig.standing(p_tenant, 'relationship', p_id) end)
           then 'relationship' else 'absent' end;
end $$;

-- Was there ever anything of this id here: in the state, in the log (also in rows that do not count), or erased?
create function ig.was_ever(p_tenant text, p_id text) returns boolean language sql stable as $$
    select exists (select from ig.entity e where e.tenant = p_tenant and e.id = p_id)
        or exists (select from ig.relationship r where r.tenant = p_tenant and r.id = p_id)
        or exists (select from ig.erased x where x.tenant = p_tenant and x.touch = ig.touch(p_tenant, 'entity', p_id))
        or exists (select from ig.snapshot s where s.tenant = p_tenant and s.kind in ('entity', 'relationship') and s.id = p_id)
        or exists (select from ig.change c where c.tenant = p_tenant
                   and c.touches && array[ig.touch(p_tenant, 'entity', p_id), ig.touch(p_tenant, 'relationship', p_id)]);
$$;

create function ig.is_erased(p_tenant text, p_kind text, p_id text) returns boolean language sql stable
    return exists (select from ig.erased x where x.tenant = p_tenant and x.touch = ig.touch(p_tenant, p_kind, p_id));

-- Why an upsert of `p_new` over `p_old` is refused, or null.
create function ig.upsert_refusal(p_index int, p_op jsonb, p_new jsonb, p_old jsonb) returns jsonb
language plpgsql immutable as $$
declare
    who text := format('%s %s', p_new ->> 'kind', p_new ->> 'id');
    facts jsonb := jsonb_build_object('index', p_index, 'id', p_new ->> 'id');
    now_at bigint := case when ig.is_live(p_old) then (p_old ->> 'revision')::bigint else 0 end;
begin
    if p_op ? 'if_revision' and (p_op ->> 'if_revision')::bigint <> now_at then
        return ig.refusal('revision_mismatch', format('operation %s is refused: %s is at revision %s; if_revision says %s',
                                                      p_index, who, now_at, p_op ->> 'if_revision'),
                          facts || jsonb_build_object('revision', now_at));
    elsif ig.is_live(p_old) and p_old ->> 'type' <> p_new ->> 'type' then
        return ig.refusal('type_changed', format('operation %s is refused: %s has type %s; an object''s type never changes',
                                                 p_index, who, p_old ->> 'type'), facts);
    elsif ig.is_live(p_old) and p_new ->> 'kind' = 'relationship'
          and (p_old ->> 'source', p_old ->> 'target') is distinct from (p_new ->> 'source', p_new ->> 'target') then
        return ig.refusal('endpoints_changed', format('operation %s is refused: %s runs from %s to %s; its endpoints never change',
                                                      p_index, who, p_old ->> 'source', p_old ->> 'target'), facts);
    end if;
    return null;
end $$;

-- The whole new form of an upserted object.
create function ig.upserted(p_kind text, p_given jsonb, p_old jsonb, p_now text) returns jsonb language sql stable as $$
    select jsonb_build_object('kind', p_kind, 'id', p_given -> 'id', 'type', p_given -> 'type')
        || case p_kind when 'entity' then jsonb_build_object('name', p_given -> 'name')
           else jsonb_build_object('source', p_given -> 'source', 'target', p_given -> 'target') end
        || jsonb_build_object(
            'properties', coalesce(nullif(p_given -> 'properties', 'null'), '{}'),
            'confidence', p_given -> 'confidence',
            'valid_from', ig.stamp((p_given ->> 'valid_from')::timestamptz),
            'valid_until', ig.stamp((p_given ->> 'valid_until')::timestamptz),
            'sources', coalesce(nullif(p_given -> 'sources', 'null'), '[]'),
            'created', coalesce(ig.stamp((p_given ->> 'created')::timestamptz),
                                case when ig.is_live(p_old) then p_old ->> 'created' end, p_now),
            'updated', coalesce(ig.stamp((p_given ->> 'updated')::timestamptz), p_now),
            'revision', coalesce((p_old ->> 'revision')::bigint, 0) + 1);
$$;

create function ig.tombstone(p_old jsonb) returns jsonb language sql immutable
    return jsonb_build_object('kind', p_old ->> 'kind', 'id', p_old ->> 'id', 'deleted', true,
                              'revision', (p_old ->> 'revision')::bigint + 1);

-- Live relationships at an entity: those in the tables that the working set has not changed, and those in it.
create function ig.relationships_at(p_tenant text, p_entity text, ids text[], objects jsonb[]) returns setof jsonb
language sql stable as $$
    select jsonb_build_object('kind', 'relationship', 'id', r.id, 'revision', r.revision)
    from (select id, revision from ig.relationship where tenant = p_tenant and source = p_entity and not deleted
          union
          select id, revision from ig.relationship where tenant = p_tenant and target = p_entity and not deleted) r
    where not ('relationship ' || r.id) = any (ids)
    union all
    select o from unnest(objects) o
    where o ->> 'kind' = 'relationship' and ig.is_live(o) and p_entity in (o ->> 'source', o ->> 'target');
$$;

-- The part of an operation that names what it is about. Locks are taken and objects written by this one reading of it.
create function ig.op_target(p_op jsonb) returns jsonb language sql immutable parallel safe
    return case p_op ->> 'op' when 'upsert_entity' then p_op -> 'entity' when 'upsert_relationship' then p_op -> 'relationship'
           else p_op end;

-- The ids an erasure names; none when it is malformed.
create function ig.op_erases(p_op jsonb) returns text[] language sql immutable parallel safe
    return case when p_op ->> 'op' = 'erase' and jsonb_typeof(p_op -> 'ids') = 'array'
           then array(select jsonb_array_elements_text(p_op -> 'ids')) else '{}' end;

-- Is an erasure as it must be: a list of ids, each a text of 1 to 256 characters?
create function ig.may_erase(p_op jsonb) returns boolean language sql immutable parallel safe
    return jsonb_typeof(p_op -> 'ids') = 'array'
       and not exists (select from jsonb_array_elements(case jsonb_typeof(p_op -> 'ids') when 'array' then p_op -> 'ids' else '[]' end) e
                       where jsonb_typeof(e) <> 'string' or length(e #>> '{}') not between 1 and 256);

-- The ends of a relationship that is there. It is looked up by itself (the limit): no plan that was made for a small table
-- reads all of a large one.
create function ig.ends_of(p_tenant text, p_id text) returns setof ig.relationship language sql stable as $$
    select * from ig.relationship x where x.tenant = p_tenant and x.id = p_id and not x.deleted limit 1;
$$;

-- May these properties be stored? The rule of `intelgraph.model.content`, for whoever appends without it: 32 levels,
-- numbers of 0 or a magnitude from 1e-64 to below 1e64. (`jsonb` itself takes no NUL and no half of a surrogate pair.)
create function ig.has_content(p_properties jsonb) returns boolean language sql immutable parallel safe
    return not p_properties @? 'strict $.**{32 to last} ? (@.type() == "object" || @.type() == "array")'
       and not p_properties @? 'strict $.** ? (@.type() == "number").abs() ? (@ >= 1e64 || (@ < 1e-64 && @ != 0))';

-- Has an object that is to be upserted the shape of one? (Times are cast where they are used.) Its id and type must fit
-- into an index together with the ids of two others.
create function ig.has_shape(p_op jsonb, p_given jsonb) returns boolean language sql immutable parallel safe
    return jsonb_typeof(p_given -> 'type') = 'string'
       and octet_length(p_given ->> 'type') <= 256 and octet_length(p_given ->> 'id') <= 512
       and (p_op ->> 'op' <> 'upsert_entity' or coalesce(jsonb_typeof(p_given -> 'name') = 'string', false))
       and case jsonb_typeof(p_given -> 'properties') when 'object' then ig.has_content(p_given -> 'properties')
           when 'null' then true else not p_given ? 'properties' end
       and case jsonb_typeof(p_given -> 'sources') when 'array' then not p_given @? '$.sources[*] ? (@.type() != "string")'
           when 'null' then true else not p_given ? 'sources' end
       and case jsonb_typeof(p_given -> 'confidence')
           when 'number' then (p_given -> 'confidence')::numeric between 0 and 100 and scale((p_given -> 'confidence')::numeric) = 0
           when 'null' then true else not p_given ? 'confidence' end
       and (not p_op ? 'if_revision' or coalesce(p_op ->> 'if_revision' ~ '^[0-9]{1,18}$', false));

-- What one operation makes of the objects it names: {"objects": [...]} or a refusal.
create function ig.resolve_one(p_tenant text, p_index int, p_op jsonb, ids text[], objects jsonb[], p_now text)
returns jsonb language plpgsql stable as $$
declare
    name text := p_op ->> 'op';
    kind text := case when name like '%\_entity' then 'entity' when name like '%\_relationship' then 'relationship' end;
    given jsonb := ig.op_target(p_op);
    id text := case jsonb_typeof(given -> 'id') when 'string' then given ->> 'id' end;
    old jsonb;
    made jsonb;
    refused jsonb;
    facts jsonb := jsonb_build_object('index', p_index, 'id', given ->> 'id');
    dangling record;
    i int;
begin
    if name = 'erase' and ig.may_erase(p_op) then
        for dangling in select e.id, e.n from jsonb_array_elements_text(p_op -> 'ids') with ordinality as e(id, n)
                        where not array['entity ' || e.id, 'relationship ' || e.id] && ids and not ig.was_ever(p_tenant, e.id)
                        order by e.n limit 1
        loop
            return ig.refusal('not_found', format('operation %s is refused: there is nothing with the id %s, and never was',
                                                  p_index, dangling.id),
                              jsonb_build_object('index', p_index, 'part', dangling.n - 1, 'id', dangling.id));
        end loop;
        select coalesce(jsonb_agg(r), '[]') into made
        from jsonb_array_elements_text(p_op -> 'ids') e, lateral ig.relationships_at(p_tenant, e, ids, objects) r
        where not r ->> 'id' in (select jsonb_array_elements_text(p_op -> 'ids'));
        return jsonb_build_object('objects',
            (select coalesce(jsonb_agg(distinct ig.tombstone(r) || jsonb_build_object('taken_by', p_index)), '[]')
             from jsonb_array_elements(made) r)
            || (select coalesce(jsonb_agg(distinct jsonb_build_object('kind', 'erased', 'id', e)), '[]')
                from jsonb_array_elements_text(p_op -> 'ids') e));
    elsif kind is null or id is null or length(id) not between 1 and 256 then
        return ig.refusal('bad_operation', format('operation %s is refused: %s', p_index,
            case when kind is null then 'its op is not known here' else 'its id must have 1 to 256 characters' end), facts);
    end if;
    i := array_position(ids, kind || ' ' || id);
    old := case when i is not null then objects[i] else ig.standing(p_tenant, kind, id) end;
    if old ->> 'kind' = 'erased' then
        return ig.refusal('erased', format('operation %s is refused: %s %s was erased, for ever', p_index, kind, id), facts);
    end if;
    if name like 'delete\_%' then
        if not ig.is_live(old) then
            return ig.refusal('not_found', format('operation %s is refused: there is no %s %s', p_index, kind, id), facts);
        end if;
        made := jsonb_build_array(ig.tombstone(old));
        if kind = 'entity' then
            made := made || (select coalesce(jsonb_agg(ig.tombstone(r) || jsonb_build_object('taken_by', p_index)), '[]')
                             from ig.relationships_at(p_tenant, id, ids, objects) r);
        end if;
        return jsonb_build_object('objects', made);
    elsif name not in ('upsert_entity', 'upsert_relationship') or given ->> 'type' is null
          or ig.has_shape(p_op, given) is not true then
        return ig.refusal('bad_operation', format('operation %s is refused: it needs a known op, a type and, for an entity, a name, and every field in its form',
                                                  p_index), facts);
    end if;
    if old is not null or p_op ? 'if_revision' then
        refused := ig.upsert_refusal(p_index, p_op, given || jsonb_build_object('kind', kind), old);
        if refused is not null then
            return refused;
        end if;
    end if;
    if kind = 'relationship' then
        select e.name, e.id, ig.why_no_entity(p_tenant, e.id, ids, objects) as why into dangling
        from (values ('source', given ->> 'source'), ('target', given ->> 'target')) e(name, id)
        where e.id is null or not ig.entity_is_live(p_tenant, e.id, ids, objects) limit 1;
        if found then
            return ig.refusal('dangling', format('operation %s is refused: the %s of relationship %s is %s, %s',
                                                 p_index, dangling.name, id, coalesce(dangling.id, 'nothing'),
                                                 case dangling.why when 'erased' then 'which was erased, for ever'
                                                 when 'deleted' then 'an entity that was deleted'
                                                 when 'relationship' then 'which is itself a relationship: only entities can be joined'
                                                 else 'which does not exist' end),
                              facts || jsonb_build_object('missing', dangling.id, 'end', dangling.name, 'why', dangling.why));
        end if;
    end if;
    return jsonb_build_object('objects', jsonb_build_array(ig.upserted(kind, given, old, p_now)));
end $$;

-- Do the operations of a request depend on each other? Upserts of distinct objects of one kind do not.
create function ig.independent(p_ops jsonb) returns boolean language sql immutable as $$
    select count(distinct o ->> 'op') <= 1 and bool_and(o ->> 'op' in ('upsert_entity', 'upsert_relationship'))
       and count(distinct ig.op_target(o) ->> 'id') = count(*)
    from jsonb_array_elements(p_ops) o;
$$;

-- All operations of a request, in order: {"objects": [...]}, one per object touched, or the first refusal.
create function ig.resolve(p_tenant text, p_ops jsonb) returns jsonb language plpgsql stable as $$
declare
    ids text[] := '{}';
    objects jsonb[] := '{}';
    step jsonb;
    op jsonb;
    made jsonb;
    n int := -1;
    kind text;
    i int;
    this_moment text := ig.stamp(clock_timestamp());
begin
    if jsonb_array_length(p_ops) = 1 then
        return ig.resolve_one(p_tenant, 0, p_ops -> 0, '{}', '{}', this_moment);
    elsif ig.independent(p_ops) then
        for op in select x from jsonb_array_elements(p_ops) x loop
            n := n + 1;
            step := ig.resolve_one(p_tenant, n, op, '{}', '{}', this_moment);
            if step ->> 'status' = 'refused' then
                return step;
            end if;
            objects := objects || (step #> '{objects,0}');
        end loop;
        return jsonb_build_object('objects', to_jsonb(objects));
    end if;
    for op in select x from jsonb_array_elements(p_ops) x loop
        n := n + 1;
        step := ig.resolve_one(p_tenant, n, op, ids, objects, this_moment);
        if step ->> 'status' = 'refused' then
            return step;
        end if;
        for made in select x from jsonb_array_elements(step -> 'objects') x loop
            -- An erased id stands in the working set under both kinds: what the request made of it before is gone.
            foreach kind in array case made ->> 'kind' when 'erased' then array['entity', 'relationship']
                                  else array[made ->> 'kind'] end loop
                i := array_position(ids, kind || ' ' || (made ->> 'id'));
                if i is null then
                    ids := ids || (kind || ' ' || (made ->> 'id'));
                    objects := objects || made;
                else
                    objects[i] := made;
                end if;
            end loop;
        end loop;
        if cardinality(ids) > 10000 then
            return ig.refusal('too_many_operations', format('operation %s is refused: with it the request touches %s objects; the limit is 10000',
                                                            n, cardinality(ids)), jsonb_build_object('index', n, 'limit', 10000));
        end if;
    end loop;
    if not exists (select from unnest(objects) o where o ->> 'kind' = 'erased') then
        return jsonb_build_object('objects', to_jsonb(objects));
    end if;
    -- An erased id, which stands there twice, is said once.
    return jsonb_build_object('objects', (select coalesce(jsonb_agg(distinct_object order by first), '[]') from (
        select o as distinct_object, min(k) as first from unnest(objects) with ordinality as u(o, k) group by o) d));
end $$;
