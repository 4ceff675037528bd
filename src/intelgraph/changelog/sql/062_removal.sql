-- Deletions and erasures of entities with very many relationships. One row holds at most `ig.removed_together()` of these
-- relationships, so that no transaction is long, no row is large, and nobody else waits for more than tens of
-- milliseconds. Where there are more, `ig.append` refuses before it takes a lock; the API then calls `ig.unlink` until
-- few enough are left, and appends again. Each step is an ordinary row of the log, without a key.

create function ig.removed_together() returns int language sql immutable parallel safe return 1000;

-- The entities that a request deletes or erases, if they exist.
create function ig.removed_ids(p_ops jsonb) returns text[] language sql immutable parallel safe
    return array(select x from jsonb_array_elements(p_ops) o,
                        unnest(case o ->> 'op' when 'delete_entity' then array[o ->> 'id'] else ig.op_erases(o) end) x);

-- The live relationships at these entities, each once, at most as many as asked for.
create function ig.relationships_of(p_tenant text, p_ids text[], p_most int) returns setof text language sql stable as $$
    select found.id from (
        (select r.id from ig.relationship r where r.tenant = p_tenant and r.source = any (p_ids) and not r.deleted limit p_most)
        union
        (select r.id from ig.relationship r where r.tenant = p_tenant and r.target = any (p_ids) and not r.deleted limit p_most)) found
    limit p_most;
$$;

-- Is a request done in steps, if it must be? Only if it consists of removals of distinct objects: then a step before it can't
-- make it fail.
create function ig.goes_in_steps(p_ops jsonb) returns boolean language sql immutable parallel safe
    return not p_ops @? '$[*] ? (@.op != "erase" && @.op != "delete_entity")'
       and (select count(*) = count(distinct id) from unnest(ig.removed_ids(p_ops)) id);

-- Does a row with the key count? One that lies beyond a cut does not: its request is done anew, in steps if need be.
create function ig.was_answered(p_tenant text, p_key text) returns boolean language sql stable
    return exists (select from ig.outcome x
                   join ig.change c on (c.origin, c.life, c.position) = (x.origin, x.life, x.position) and c.status = 'applied'
                   where x.tenant = p_tenant and x.key_hash = sha256(convert_to(p_key, 'UTF8')));

-- Why a request would delete too many relationships at once, or null. Asked before any lock is taken.
create function ig.removal_refusal(p_tenant text, p_key text, p_ops jsonb) returns jsonb language plpgsql stable as $$
declare
    most constant int := ig.removed_together();
begin
    if not p_ops @? '$[*] ? (@.op == "erase" || @.op == "delete_entity")' or ig.was_answered(p_tenant, p_key)
       or (select count(*) from ig.relationships_of(p_tenant, ig.removed_ids(p_ops), most + 1)) <= most then
        return null;
    end if;
    return ig.refusal('too_many_relationships', format(
        'the request is refused: its entities have more than %s relationships, which would be deleted with them in one transaction; delete or erase them in a request without other operations: it is done in steps, whatever their number', most),
        jsonb_build_object('limit', most, 'in_steps', ig.goes_in_steps(p_ops)));
end $$;

-- Why the first operation that removes nothing here is refused, or null.
create function ig.first_not_removed(p_tenant text, p_ops jsonb) returns jsonb language plpgsql stable as $$
declare
    o record;
begin
    for o in select x.op, x.n from jsonb_array_elements(p_ops) with ordinality as x(op, n)
             where case x.op ->> 'op' when 'delete_entity' then not ig.is_live(ig.standing(p_tenant, 'entity', x.op ->> 'id'))
                   else exists (select from unnest(ig.op_erases(x.op)) e(id) where not ig.was_ever(p_tenant, e.id)) end order by x.n
    loop
        return ig.resolve_one(p_tenant, o.n::int - 1, o.op, '{}', '{}', '');
    end loop;
    return null;
end $$;

-- Delete those of `p_ids` that live, by one row without a key, and answer how many; without any there is no row.
create function ig.delete_relationships(p ig.placement, p_tenant text, p_ids text[]) returns int language plpgsql as $$
declare
    objects jsonb;
begin
    select jsonb_agg(ig.tombstone(jsonb_build_object('kind', 'relationship', 'id', r.id, 'revision', r.revision)) order by r.id)
    into objects from ig.relationship r where r.tenant = p_tenant and r.id = any (p_ids) and not r.deleted;
    if objects is null then
        return 0;
    end if;
    objects := ig.of_epoch(objects, p.epoch);
    perform ig.write_row(p, 'write', p_tenant, null, null, jsonb_build_object('objects', objects),
                         ig.touches_of(p_tenant, objects), p.regions, p.epoch, p.digest_key);
    return jsonb_array_length(objects);
end $$;

-- One step of a request that `ig.append` refused as one to be done in steps: delete relationships of its entities, as
-- many as one row may hold. `more`: there may be others still. A request that would be refused changes nothing.
create function ig.unlink(p_placement text, p_epoch bigint, p_tenant text, p_key text, p_ops jsonb)
returns jsonb language plpgsql security definer set search_path = '' set plan_cache_mode = auto as $$
declare
    p ig.placement;
    refused jsonb;
    found text[];
begin
    if not ig.goes_in_steps(p_ops) then
        return ig.removal_refusal(p_tenant, p_key, p_ops);
    end if;
    perform ig.lock_placement_shared(p_placement);
    select * into p from ig.open_here(p_placement, p_epoch);
    if p.id is null then
        refused := ig.fence(p_placement, p_epoch);
        if refused is not null then
            return refused;
        end if;
        select * into p from ig.placement where id = p_placement;
    end if;
    refused := ig.first_not_removed(p_tenant, p_ops);
    if refused is not null or ig.was_answered(p_tenant, p_key) then
        return coalesce(refused, '{"status": "ok", "more": false}');
    end if;
    found := array(select ig.relationships_of(p_tenant, ig.removed_ids(p_ops), ig.removed_together()));
    perform ig.lock_objects(p_tenant, (select coalesce(jsonb_agg(jsonb_build_object('op', 'delete_relationship', 'id', id)), '[]')
                                       from unnest(found) id), null);
    return jsonb_build_object('status', 'ok', 'deleted', ig.delete_relationships(p, p_tenant, found),
                              'more', cardinality(found) = ig.removed_together());
end $$;
