-- Writing: fence, locks, operations to whole objects, position, log. One call, one transaction, one round trip.

-- The locks of a request that only upserts entities: the common case, and free of lookups.
create function ig.lock_entities(p_tenant text, p_ops jsonb, p_key text) returns void language plpgsql as $$
declare
    hash bigint;
    key_hash bigint;
begin
    if jsonb_array_length(p_ops) = 1 then
        hash := ig.touch(p_tenant, 'entity', ig.op_target(p_ops -> 0) ->> 'id');
        key_hash := ig.touch(p_tenant, 'key', p_key);
        perform pg_advisory_xact_lock(least(hash, key_hash)), pg_advisory_xact_lock(greatest(hash, key_hash));
        return;
    end if;
    for hash in
        select ig.touch(p_tenant, 'entity', ig.op_target(o) ->> 'id') from jsonb_array_elements(p_ops) o
        where ig.op_target(o) ->> 'id' is not null
        union select ig.touch(p_tenant, 'key', p_key) where p_key is not null
        order by 1
    loop
        perform pg_advisory_xact_lock(hash);
    end loop;
end $$;

-- Every lock an append needs, taken in one sorted pass; a second pass catches a relationship that appeared meanwhile.
create function ig.lock_objects(p_tenant text, p_ops jsonb, p_key text) returns void language plpgsql as $$
declare
    lock record;
    taken bigint[] := '{}';
    pass int := 0;
    fresh int;
begin
    if not p_ops @? '$[*] ? (@.op != "upsert_entity")' then
        perform ig.lock_entities(p_tenant, p_ops, p_key);
        return;
    end if;
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
                from op join ig.relationship r on r.tenant = p_tenant and r.id = op.id and not r.deleted,
                     lateral (values (r.source), (r.target)) e(id)
                where name in ('upsert_relationship', 'delete_relationship')
                union all
                select ig.touch(p_tenant, k, e), true from op, unnest(ig.op_erases(o)) e,
                       unnest(array['entity', 'relationship']) k
                union all
                select ig.touch(p_tenant, 'entity', e.id), false
                from op, unnest(ig.op_erases(o)) i
                     join ig.relationship r on r.tenant = p_tenant and r.id = i and not r.deleted,
                     lateral (values (r.source), (r.target)) e(id)
                union all
                select ig.touch(p_tenant, 'key', p_key), true where p_key is not null
            )
            select hash, bool_or(alone) as alone from need where hash is not null and not hash = any (taken)
            group by hash order by hash
        loop
            if lock.alone then
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
end $$;

create function ig.refusal(p_code text, p_reason text, p_facts jsonb default '{}') returns jsonb language sql immutable
    return jsonb_build_object('status', 'refused', 'code', p_code, 'reason', p_reason, 'facts', p_facts);

-- May rows of this placement be written here, in this epoch? Null when they may.
create function ig.fence(p_placement text, p_epoch bigint, p_for_repair boolean default false)
returns jsonb language plpgsql stable as $$
declare
    p record;
begin
    select x.*, g.name as here, g.life as here_life into p
    from ig.region g left join ig.placement x on x.id = p_placement;
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
    elsif p.gap is not null and not p_for_repair then
        return ig.refusal('gap', format('placement %s may lack rows in %s: %s', p_placement, p.here, p.gap));
    end if;
    return null;
end $$;

create function ig.row_digest(p_key bytea, p_identity text, p_body jsonb) returns bytea language sql immutable
    return substr(sha256(p_key || sha256(convert_to(p_identity || chr(10) || coalesce(p_body::text, ''), 'UTF8'))), 1, 16);

-- Draw the position and insert the row; the trigger applies it. Every lock must be held already, and the transaction
-- gets its id before its position, which is what ig.settle() relies on.
create function ig.write_row(p ig.placement, p_kind text, p_tenant text, p_key text, p_request_hash bytea, p_body jsonb,
                             p_touches bigint[], p_replicate_to text[], p_epoch bigint, p_digest_key bytea)
returns text language plpgsql as $$
declare
    local ig.region;
    at bigint;
    format_version int := 1;
begin
    select * into local from ig.region;
    if local.reads > 1 then
        -- Nobody writes a version that some reader has not announced.
        select least(local.reads, min(coalesce(q.reads, 1))) into format_version
        from unnest(p_replicate_to) d left join ig.peer q on q.name = d where d <> local.name;
        format_version := coalesce(format_version, local.reads);
    end if;
    perform pg_current_xact_id();
    at := nextval('ig.position');
    insert into ig.change (origin, life, position, placement, epoch, version, kind, tenant, key_hash, request_hash,
                           replicate_to, touches, body, digest, written_at)
    values (local.name, local.life, at, p.id, p_epoch, format_version, p_kind, p_tenant,
            sha256(convert_to(p_key, 'UTF8')), p_request_hash, p_replicate_to, p_touches, p_body,
            ig.row_digest(p_digest_key, concat_ws('/', local.name, local.life, at, p.id, p_epoch, p_kind), p_body),
            clock_timestamp());
    return concat_ws('/', local.name, local.life, p_epoch, at);
end $$;

create function ig.brief(p_object jsonb) returns jsonb language sql immutable
    return jsonb_strip_nulls(jsonb_build_object('kind', p_object -> 'kind', 'id', p_object -> 'id',
                                                'revision', p_object -> 'revision'));

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
        return ig.refusal('key_reused', 'the Idempotency-Key is refused: it was used before with another request body');
    end if;
    return jsonb_build_object('status', 'repeated', 'bookmark', concat_ws('/', f.origin, f.life, f.epoch, f.position),
                              'objects', ig.result_of(f.body));
end $$;

-- What a row touches: an erased id under both kinds.
create function ig.touches_of(p_tenant text, p_objects jsonb) returns bigint[] language sql immutable
    return (select coalesce(array_agg(distinct ig.touch(p_tenant, k, o ->> 'id')), '{}')
            from jsonb_array_elements(p_objects) o,
                 unnest(case o ->> 'kind' when 'erased' then array['entity', 'relationship'] else array[o ->> 'kind'] end) k);

-- The door's sessions keep one plan for every statement (a compiled read is planned once, not for each value). Here the
-- number of operations decides what is best: with one plan for all, writing a graph takes five times as long.
create function ig.append(p_placement text, p_epoch bigint, p_tenant text, p_key text, p_request_hash bytea, p_ops jsonb)
returns jsonb language plpgsql security definer set search_path = '' set plan_cache_mode = auto as $$
declare
    answer jsonb;
    p ig.placement;
    body jsonb;
    objects jsonb;
    touches bigint[];
    bookmark text;
begin
    if jsonb_typeof(p_ops) is distinct from 'array' then
        return ig.refusal('bad_operation', 'the request is refused: its operations are not a list');
    elsif jsonb_array_length(p_ops) > 1000 then
        return ig.refusal('too_many_operations', format('the request is refused: it has %s operations; the limit is 1000',
                                                        jsonb_array_length(p_ops)), jsonb_build_object('limit', 1000));
    end if;
    if p_ops @? '$[*] ? (@.op == "erase")' then
        perform ig.lock_placement(p_placement);
    else
        perform ig.lock_placement_shared(p_placement);
    end if;
    answer := ig.fence(p_placement, p_epoch);
    if answer is not null then
        return answer;
    end if;
    perform ig.lock_objects(p_tenant, p_ops, p_key);
    answer := ig.first_outcome(p_tenant, p_key, p_request_hash);
    if answer is not null then
        return answer;
    end if;
    answer := ig.resolve(p_tenant, p_ops);
    if answer ->> 'status' = 'refused' then
        return answer;
    end if;
    select * into p from ig.placement where id = p_placement;
    objects := answer -> 'objects';
    body := jsonb_build_object('objects', objects);
    if jsonb_array_length(objects) = 1 and objects #>> '{0,kind}' <> 'erased' then
        touches := array[ig.touch(p_tenant, objects #>> '{0,kind}', objects #>> '{0,id}')];
    else
        touches := ig.touches_of(p_tenant, objects);
    end if;
    bookmark := ig.write_row(p, 'write', p_tenant, p_key, p_request_hash, body, touches, p.regions,
                             p.epoch, p.digest_key);
    return jsonb_build_object('status', 'ok', 'bookmark', bookmark, 'objects',
        case when jsonb_array_length(objects) = 1 then jsonb_build_array(ig.brief(objects -> 0)) else ig.result_of(body) end);
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
