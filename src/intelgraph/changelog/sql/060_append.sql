-- Writing: fence, locks, operations to whole objects, position, log. One call, one transaction, one round trip.

-- Is every operation the upsert of an entity with an id and a type? The common case, for which one statement does all.
create function ig.only_entities(p_ops jsonb) returns boolean language sql immutable parallel safe
    return case when jsonb_typeof(p_ops) = 'array' then jsonb_array_length(p_ops) between 1 and 1000
        and not p_ops @? '$[*] ? (!(@.op.type() == "string" && @.op == "upsert_entity"
            && @.entity.type() == "object" && @.entity.id.type() == "string" && @.entity.type.type() == "string"))'
    else false end;

-- The locks of requests that only upsert entities, and of their keys, in the order in which they are to be taken.
create function ig.locks_of_entities(p_tenants text[], p_keys text[], p_ops jsonb[]) returns bigint[]
language sql immutable parallel safe as $$
    select array_agg(distinct h.hash order by h.hash)
    from unnest(p_tenants, p_keys, p_ops) as r(tenant, key, ops), lateral (
        select ig.touch(r.tenant, 'entity', o #>> '{entity,id}') from jsonb_array_elements(r.ops) o
        union all select ig.touch(r.tenant, 'key', r.key) where r.key is not null) h(hash);
$$;

-- Take the locks of requests that only upsert entities, without waiting. Of each: `plain` when it has all its locks and
-- names nothing that one before it names, so that the plain ones may go first and together; `later`; or `busy`.
create function ig.try_entities(p_tenants text[], p_keys text[], p_ops jsonb[]) returns text[] language plpgsql as $$
begin
    return array(
        select case when not bool_and(pg_try_advisory_xact_lock(f.hash)) then 'busy' when bool_and(f.n = f.first) then 'plain'
               else 'later' end
        from (select r.n, h.hash, min(r.n) over (partition by h.hash) as first
              from unnest(p_tenants, p_keys, p_ops) with ordinality as r(tenant, key, ops, n), lateral (
                  select ig.touch(r.tenant, 'entity', o #>> '{entity,id}') from jsonb_array_elements(r.ops) o
                  union all select ig.touch(r.tenant, 'key', r.key) where r.key is not null) h(hash)) f
        group by f.n order by f.n);
end $$;

-- Every lock an append needs, taken in one sorted pass; a second pass catches a relationship that appeared meanwhile.
-- With `p_wait` false it waits for none of them: false when another holds one.
create function ig.lock_objects(p_tenant text, p_ops jsonb, p_key text, p_wait boolean default true) returns boolean
language plpgsql set plan_cache_mode = auto as $$
declare
    lock record;
    got boolean;
    taken bigint[] := '{}';
    pass int := 0;
    fresh int;
begin
    loop
        fresh := 0;
        for lock in
            with op as materialized (
                select o ->> 'op' as name, o, ig.op_target(o) ->> 'id' as id
                from jsonb_array_elements(p_ops) o
            ), need(hash, alone) as (
                select ig.touch(p_tenant, 'entity', id), true from op where name in ('upsert_entity', 'delete_entity')
                union all
                select ig.touch(p_tenant, 'relationship', id), true from op
                where name in ('upsert_relationship', 'delete_relationship')
                union all
                select ig.touch(p_tenant, 'entity', e.id), false from op,
                       lateral (values (o #>> '{relationship,source}'), (o #>> '{relationship,target}')) e(id)
                where name = 'upsert_relationship' and e.id is not null
                union all
                select ig.touch(p_tenant, 'entity', e.id), false
                from op, ig.ends_of(p_tenant, op.id) r, lateral (values (r.source), (r.target)) e(id)
                where name in ('upsert_relationship', 'delete_relationship')
                union all
                select ig.touch(p_tenant, k, e), true from op, unnest(ig.op_erases(o)) e,
                       unnest(array['entity', 'relationship']) k
                union all
                select ig.touch(p_tenant, 'entity', e.id), false
                from op, unnest(ig.op_erases(o)) i, ig.ends_of(p_tenant, i) r, lateral (values (r.source), (r.target)) e(id)
                union all
                select ig.touch(p_tenant, 'key', p_key), true where p_key is not null
            )
            select hash, bool_or(alone) as alone from need where hash is not null and not hash = any (taken)
            group by hash order by hash
        loop
            if not p_wait then
                got := case when lock.alone then pg_try_advisory_xact_lock(lock.hash)
                       else pg_try_advisory_xact_lock_shared(lock.hash) end;
                if not got then
                    return false;
                end if;
            elsif lock.alone then
                perform pg_advisory_xact_lock(lock.hash);
            else
                perform pg_advisory_xact_lock_shared(lock.hash);
            end if;
            taken := taken || lock.hash;
            fresh := fresh + 1;
        end loop;
        pass := pass + 1;
        exit when fresh = 0 or pass >= 5
            or not exists (select from jsonb_array_elements(p_ops) o
                           where o ->> 'op' in ('upsert_relationship', 'delete_relationship', 'erase'));
    end loop;
    return true;
end $$;

create function ig.refusal(p_code text, p_reason text, p_facts jsonb default '{}') returns jsonb language sql immutable
    return jsonb_build_object('status', 'refused', 'code', p_code, 'reason', p_reason, 'facts', p_facts);

-- May rows of this placement be written here, in this epoch? Null when they may.
create function ig.fence(p_placement text, p_epoch bigint, p_for_repair boolean default false)
returns jsonb language plpgsql stable as $$
declare
    p record;
begin
    select x.*, g.name as here, g.life as here_life, c.epoch as closed into p
    from ig.region g left join ig.placement x on x.id = p_placement left join ig.closing c on c.placement = x.id;
    if p.id is null or p.epoch = 0 then
        return ig.refusal('unknown_placement', format('cannot write to placement %s: it has never been opened in %s',
                                                      p_placement, p.here));
    elsif p.epoch <> p_epoch then
        return ig.refusal('fenced', format('cannot write to placement %s in epoch %s: the open epoch is %s',
                                           p_placement, p_epoch, p.epoch),
                          jsonb_build_object('epoch', p.epoch, 'asked', p_epoch, 'home', p.home));
    elsif p.home <> p.here then
        return ig.refusal('not_home', format('cannot write to placement %s in %s: its home is %s', p_placement, p.here, p.home),
                          jsonb_build_object('home', p.home, 'epoch', p.epoch));
    elsif p.life <> p.here_life then
        return ig.refusal('fenced', format('cannot write to placement %s in life %s of %s: its epoch %s was opened in life %s',
                                           p_placement, p.here_life, p.here, p.epoch, p.life),
                          jsonb_build_object('epoch', p.epoch, 'home', p.home));
    elsif p.hold is not null then
        return ig.refusal('held', format('placement %s is held in %s: %s', p_placement, p.here, p.hold));
    elsif p.closed = p_epoch then
        return ig.refusal('closing', format('placement %s takes no more writes in epoch %s: it is about to change', p_placement, p_epoch),
                          jsonb_build_object('epoch', p.epoch, 'home', p.home));
    elsif p.gap is not null and not p_for_repair then
        return ig.refusal('gap', format('placement %s may lack rows in %s: %s', p_placement, p.here, p.gap));
    end if;
    return null;
end $$;

-- The placement, in the usual case that `ig.fence` has nothing to say; where this finds none, the fence decides. Both are
-- to be asked under the placement's lock.
create function ig.open_here(p_placement text, p_epoch bigint) returns setof ig.placement language sql stable as $$
    select p.* from ig.region g join ig.placement p on p.id = p_placement and p.epoch = p_epoch and p.epoch > 0
        and p.home = g.name and p.life = g.life and p.hold is null and p.gap is null
    where not exists (select from ig.closing c where c.placement = p_placement and c.epoch = p_epoch);
$$;

-- `p_body`: the row's body as text.
create function ig.row_digest(p_key bytea, p_identity text, p_body text) returns bytea language sql stable
    return substr(sha256(p_key || sha256(convert_to(p_identity || chr(10) || coalesce(p_body, ''), 'UTF8'))), 1, 16);

-- The version in which rows to these regions are written: nobody writes one that some reader has not announced.
create function ig.version_for(p_local ig.region, p_replicate_to text[]) returns int language sql stable as $$
    select coalesce(least(p_local.reads, min(coalesce(q.reads, 1))), p_local.reads)
    from unnest(p_replicate_to) d left join ig.peer q on q.name = d where d <> p_local.name;
$$;

-- Draw the position and insert the row; the trigger applies it. Every lock must be held already, and the transaction
-- gets its id before its position, which is what ig.settle() relies on.
create function ig.write_row(p ig.placement, p_kind text, p_tenant text, p_key text, p_request_hash bytea, p_body jsonb,
                             p_touches bigint[], p_replicate_to text[], p_epoch bigint, p_digest_key bytea)
returns text language plpgsql as $$
declare
    local ig.region;
    at bigint;
begin
    select * into local from ig.region;
    perform pg_current_xact_id();
    at := nextval('ig.position');
    insert into ig.change (origin, life, position, placement, epoch, version, kind, tenant, key_hash, request_hash,
                           replicate_to, touches, body, digest, written_at)
    values (local.name, local.life, at, p.id, p_epoch,
            case when local.reads > 1 then ig.version_for(local, p_replicate_to) else 1 end, p_kind, p_tenant,
            sha256(convert_to(p_key, 'UTF8')), p_request_hash, p_replicate_to, p_touches, p_body,
            ig.row_digest(p_digest_key, concat_ws('/', local.name, local.life, at, p.id, p_epoch, p_kind), p_body::text),
            clock_timestamp());
    return concat_ws('/', local.name, local.life, p_epoch, at);
end $$;

create function ig.brief(p_object jsonb) returns jsonb language sql stable
    return jsonb_strip_nulls(jsonb_build_object('kind', p_object -> 'kind', 'id', p_object -> 'id',
                                                'revision', p_object -> 'revision', 'taken_by', p_object -> 'taken_by'));

create function ig.result_of(p_body jsonb) returns jsonb language sql immutable
    return (select coalesce(jsonb_agg(ig.brief(o) order by n), '[]')
            from jsonb_array_elements(p_body -> 'objects') with ordinality as x(o, n));

-- The first accepted outcome of a key, if any; a different request under the same key is refused.
create function ig.first_outcome(p_tenant text, p_key text, p_request_hash bytea) returns jsonb language plpgsql stable as $$
declare
    f record;
begin
    select o.epoch, o.request_hash, c.origin, c.life, c.position, c.body into f
    from ig.outcome o join ig.change c on (c.origin, c.life, c.position) = (o.origin, o.life, o.position)
    where o.tenant = p_tenant and o.key_hash = sha256(convert_to(p_key, 'UTF8')) and c.status = 'applied'
    order by o.epoch, o.position limit 1;
    if not found then
        return null;
    elsif f.request_hash is distinct from p_request_hash then
        return ig.refusal('key_reused', 'the Idempotency-Key is refused: it was used before for another request');
    end if;
    return jsonb_build_object('status', 'repeated', 'bookmark', concat_ws('/', f.origin, f.life, f.epoch, f.position),
                              'objects', ig.result_of(f.body));
end $$;

-- What a row touches: an erased id under both kinds.
create function ig.touches_of(p_tenant text, p_objects jsonb) returns bigint[] language sql immutable
    return (select coalesce(array_agg(distinct ig.touch(p_tenant, k, o ->> 'id')), '{}')
            from jsonb_array_elements(p_objects) o,
                 unnest(case o ->> 'kind' when 'erased' then array['entity', 'relationship'] else array[o ->> 'kind'] end) k);

-- Forms that were counted on from those of an earlier epoch take their epoch's revisions.
create function ig.of_epoch(p_objects jsonb, p_epoch bigint) returns jsonb language sql immutable as $$
    select case when p_epoch = 1 then p_objects else (
        select coalesce(jsonb_agg(case when (o ->> 'revision')::bigint <= ig.revisions_below(p_epoch)
                                       then o || jsonb_build_object('revision', ig.revisions_below(p_epoch) + 1) else o end
                                  order by n), '[]')
        from jsonb_array_elements(p_objects) with ordinality as e (o, n)) end;
$$;

-- One request whatever it asks for, under its locks. The door's sessions keep one plan for every statement (a compiled
-- read is planned once, not for each value); here the number of operations decides what is best: with one plan for all,
-- writing a graph takes five times as long.
create function ig.append_one(p ig.placement, p_tenant text, p_key text, p_request_hash bytea, p_ops jsonb)
returns jsonb language plpgsql set plan_cache_mode = auto as $$
declare
    answer jsonb;
    body jsonb;
    objects jsonb;
begin
    answer := ig.first_outcome(p_tenant, p_key, p_request_hash);
    if answer is not null then
        return answer;
    end if;
    answer := ig.resolve(p_tenant, p_ops);
    if answer ->> 'status' = 'refused' then
        return answer;
    end if;
    objects := ig.of_epoch(answer -> 'objects', p.epoch);
    body := jsonb_build_object('objects', objects);
    answer := ig.stored_refusal(body);
    if answer is not null then
        return answer;
    end if;
    return jsonb_build_object('status', 'ok', 'objects', ig.result_of(body), 'bookmark',
        ig.write_row(p, 'write', p_tenant, p_key, p_request_hash, body, ig.touches_of(p_tenant, objects), p.regions,
                     p.epoch, p.digest_key));
end $$;

-- A row is refused by its size as it will be stored and sent.
create function ig.stored_refusal(p_body jsonb) returns jsonb language plpgsql stable as $$
declare
    found int := octet_length(p_body::text);
begin
    return case when found > ig.row_bytes_max() then ig.refusal('write_too_large',
        format('the write is refused: as it is stored it has %s bytes; the limit is %s', found, ig.row_bytes_max()),
        jsonb_build_object('bytes', found, 'limit', ig.row_bytes_max())) end;
end $$;

create function ig.size_refusal(p_ops jsonb) returns jsonb language sql immutable
    return case when jsonb_typeof(p_ops) is distinct from 'array'
        then ig.refusal('bad_operation', 'the request is refused: its operations are not a list')
    when jsonb_array_length(p_ops) > 1000
        then ig.refusal('too_many_operations', format('the request is refused: it has %s operations; the limit is 1000',
                                                      jsonb_array_length(p_ops)), '{"limit": 1000}') end;

-- One entity under its locks, the commonest request of all: what ig.append_entities makes of it, or null when it is not plain.
create function ig.append_entity(p_placement text, p_epoch bigint, p_tenant text, p_key text, p_request_hash bytea, p_op jsonb,
                                 p_touch bigint)
returns jsonb language plpgsql as $$
declare
    given jsonb := p_op -> 'entity';
    entity_id text := given ->> 'id';
    hashed_key bytea := sha256(convert_to(p_key, 'UTF8'));
    this_moment timestamptz := clock_timestamp();
    p ig.placement;
    local ig.region;
    old record;
    made bigint;
    xid xid8;
    at bigint;
    body jsonb;
    stored text;
begin
    select g as region, o as placement, e.type, e.revision, e.deleted, e.created,
           exists (select from ig.erased x where x.tenant = p_tenant and x.touch = p_touch) as erased,
           exists (select from ig.outcome x where x.tenant = p_tenant and x.key_hash = hashed_key) as used,
           case when e.name = given ->> 'name' and e.properties ->> 'description' is not distinct from given #>> '{properties,description}'
                then e.words end as words
    into old from ig.region g cross join ig.open_here(p_placement, p_epoch) o
    left join ig.entity e on e.tenant = p_tenant and e.id = entity_id;
    if not found or old.used or old.erased or length(entity_id) not between 1 and 256
       or ig.has_shape(p_op, given) is not true or (old.deleted is false and old.type <> given ->> 'type')
       or (p_op ? 'if_revision'
           and p_op ->> 'if_revision' <> (case when old.deleted is false then old.revision else 0 end)::text) then
        return null;
    end if;
    p := old.placement;
    local := old.region;
    made := greatest(old.revision, ig.revisions_below(p_epoch)) + 1;
    body := jsonb_build_object('objects', jsonb_build_array(
        ig.entity_form(given, case when not old.deleted then old.created end, made, ig.stamp(this_moment))));
    stored := body::text;
    if octet_length(stored) > ig.small_bytes() then
        if octet_length(stored) > ig.row_bytes_max() then
            return null;
        end if;
        perform ig.note_largest(p_placement, p_tenant, octet_length(stored));
    end if;
    xid := pg_current_xact_id();
    at := nextval('ig.position');
    insert into ig.change (origin, life, position, placement, epoch, version, kind, tenant, key_hash, request_hash,
                           replicate_to, touches, body, digest, written_at, arrived, arrival, status)
    values (local.name, local.life, at, p.id, p.epoch,
            case when local.reads > 1 then ig.version_for(local, p.regions) else 1 end, 'write', p_tenant, hashed_key,
            p_request_hash, p.regions, array[p_touch], body,
            ig.row_digest(p.digest_key, concat_ws('/', local.name, local.life, at, p.id, p.epoch, 'write'), stored),
            this_moment, xid, nextval('ig.arrival'), 'applied');
    if hashed_key is not null then
        insert into ig.outcome (tenant, key_hash, origin, life, position, placement, epoch, request_hash)
        values (p_tenant, hashed_key, local.name, local.life, at, p.id, p.epoch, p_request_hash);
    end if;
    insert into ig.entity as e (tenant, id, placement, type, name, properties, confidence, valid_from, valid_until,
                                sources, created, updated, revision, deleted, epoch, position, words)
    select p_tenant, entity_id, p.id, o.type, o.name, o.properties, o.confidence, o.valid_from, o.valid_until,
           o.sources, o.created, o.updated, made, false, p.epoch, at,
           coalesce(old.words, ig.words(p_tenant, o.name, o.properties))
    from jsonb_to_record(body #> '{objects,0}') as o(type text, name text, properties jsonb, confidence smallint,
        valid_from timestamptz, valid_until timestamptz, sources text[], created timestamptz, updated timestamptz)
    on conflict (tenant, id) do update set
        type = excluded.type, name = excluded.name, properties = excluded.properties, confidence = excluded.confidence,
        valid_from = excluded.valid_from, valid_until = excluded.valid_until, sources = excluded.sources,
        created = excluded.created, updated = excluded.updated, revision = excluded.revision,
        deleted = excluded.deleted, epoch = excluded.epoch, position = excluded.position, words = excluded.words
    where (e.epoch, e.position) < (excluded.epoch, excluded.position);
    return jsonb_build_object('status', 'ok', 'bookmark', concat_ws('/', local.name, local.life, p.epoch, at),
        'objects', jsonb_build_array(jsonb_build_object('kind', 'entity', 'id', entity_id, 'revision', made)));
end $$;

create function ig.append(p_placement text, p_epoch bigint, p_tenant text, p_key text, p_request_hash bytea, p_ops jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    answer jsonb;
    p ig.placement;
    plain boolean := ig.only_entities(p_ops);
    one bigint;
    key bigint;
begin
    if plain and jsonb_array_length(p_ops) = 1 then
        one := ig.touch(p_tenant, 'entity', p_ops #>> '{0,entity,id}');
        key := ig.touch(p_tenant, 'key', p_key);
        perform pg_advisory_xact_lock_shared(1, hashtext(p_placement)),
                pg_advisory_xact_lock(least(one, key)), pg_advisory_xact_lock(greatest(one, key));
        answer := ig.append_entity(p_placement, p_epoch, p_tenant, p_key, p_request_hash, p_ops -> 0, one);
        if answer is not null then
            return answer;
        end if;
    elsif jsonb_typeof(p_ops) is distinct from 'array' or jsonb_array_length(p_ops) > 1000 then
        return ig.size_refusal(p_ops);
    elsif not plain then
        answer := ig.removal_refusal(p_tenant, p_key, p_ops);
        if answer is not null then
            return answer;
        end if;
    end if;
    if not plain and p_ops @? '$[*] ? (@.op == "erase")' then
        perform ig.lock_placement(p_placement);
    else
        perform ig.lock_placement_shared(p_placement);
    end if;
    select * into p from ig.open_here(p_placement, p_epoch);
    if not found then
        answer := ig.fence(p_placement, p_epoch);
        if answer is not null then
            return answer;
        end if;
        select * into p from ig.placement where id = p_placement;
    end if;
    if plain and jsonb_array_length(p_ops) > 1 then
        perform pg_advisory_xact_lock(h) from unnest(ig.locks_of_entities(array[p_tenant], array[p_key], array[p_ops])) h;
        answer := (ig.append_entities(p, array[p_tenant], array[p_key], array[p_request_hash], array[p_ops]))[1];
        if answer is not null then
            return answer;
        end if;
    elsif not plain then
        perform ig.lock_objects(p_tenant, p_ops, p_key);
    end if;
    return ig.append_one(p, p_tenant, p_key, p_request_hash, p_ops);
end $$;

-- The same, committed, and how far this server had flushed just after that: what a standby must reach. A position read
-- before the commit could be passed by another's.
create procedure ig.append_and_place(p_placement text, p_epoch bigint, p_tenant text, p_key text, p_request_hash bytea,
                                     p_ops jsonb, inout answer jsonb, inout flushed text)
language plpgsql as $$
begin
    answer := ig.append(p_placement, p_epoch, p_tenant, p_key, p_request_hash, p_ops);
    commit;
    flushed := pg_current_wal_flush_lsn();
end $$;
