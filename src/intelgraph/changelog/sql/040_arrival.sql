-- The one trigger. It runs for rows written here and for rows that replication brings, and for the latter it is total:
-- whatever goes wrong is recorded, the placement is held, and the stream goes on.

-- Flip the rows whose acceptance differs from their status, then derive what they touch. `p_rows` names candidates.
create function ig.reclassify(p_placement text, p_rows jsonb) returns void language plpgsql as $$
declare
    flipped jsonb;
    named jsonb;
begin
    with candidate as (
        select c.origin, c.life, c.position,
               ig.accepted(c.placement, c.epoch, c.origin, c.life, c.position, c.kind) as accepted
        from jsonb_to_recordset(p_rows) as r(origin text, life int, position bigint)
        join ig.change c on (c.origin, c.life, c.position) = (r.origin, r.life, r.position)
        where c.placement = p_placement and c.status in ('applied', 'inert')
    ), flip as (
        update ig.change c set status = case when k.accepted then 'applied' else 'inert' end
        from candidate k
        where (c.origin, c.life, c.position) = (k.origin, k.life, k.position)
          and (c.status = 'applied') is distinct from k.accepted
        returning c.*
    )
    select coalesce(jsonb_agg(jsonb_build_object('tenant', f.tenant, 'kind', o ->> 'kind', 'id', o ->> 'id'))
                    filter (where o is not null), '[]'),
           coalesce(jsonb_agg(distinct jsonb_build_object('origin', d.origin, 'life', d.life, 'position', d.position))
                    filter (where d.origin is not null), '[]')
    into flipped, named
    from flip f
    left join lateral jsonb_array_elements(case when f.kind = 'write' then f.body -> 'objects' end) o on true
    left join ig.decision d on (d.by_origin, d.by_life, d.by_position) = (f.origin, f.life, f.position);
    perform ig.derive(p_placement, flipped);
    -- A decision that gained or lost its force changes the rows it names; decisions are never named themselves.
    if named <> '[]' then
        perform ig.reclassify(p_placement, named);
    end if;
end $$;

-- Learn an epoch: record it and its cut, settle what is in force, re-derive every row beyond the cuts.
create function ig.take_open(r ig.change) returns void language plpgsql as $$
declare
    top ig.epoch;
    known ig.placement;
    rows jsonb;
begin
    insert into ig.epoch (placement, epoch, origin, life, position, home, standby, regions, durability, digest_key, in_force)
    values (r.placement, r.epoch, r.origin, r.life, r.position, r.body ->> 'home', r.body ->> 'standby',
            array(select jsonb_array_elements_text(r.body -> 'regions')), r.body ->> 'durability',
            decode(r.body ->> 'digest_key', 'hex'), false)
    on conflict do nothing;
    insert into ig.cut (placement, epoch, by_origin, by_life, by_position, origin, life, held)
    select r.placement, r.epoch, r.origin, r.life, r.position, c.origin, c.life, c.held::int8multirange
    from jsonb_to_recordset(r.body -> 'cut') as c(origin text, life int, held text)
    on conflict do nothing;
    if not ig.recompute_force(r.placement) then
        return;
    end if;
    select * into known from ig.placement where id = r.placement;
    select * into top from ig.epoch where placement = r.placement and in_force order by epoch desc limit 1;
    insert into ig.placement as p (id, epoch, origin, life, home, standby, regions, durability, digest_key)
    values (top.placement, top.epoch, top.origin, top.life, top.home, top.standby, top.regions, top.durability, top.digest_key)
    on conflict (id) do update set epoch = excluded.epoch, origin = excluded.origin, life = excluded.life,
        home = excluded.home, standby = excluded.standby, regions = excluded.regions, durability = excluded.durability,
        digest_key = excluded.digest_key;
    if not ig.here() = any (top.regions) then
        perform ig.drop_placement(r.placement);
        return;
    end if;
    -- Newly allowed here, after rows were written that were not addressed here: say so until reissue has filled it.
    if (known.id is null and top.epoch > 1) or not ig.here() = any (known.regions) then
        update ig.placement set gap = 'this region joined the placement at epoch ' || top.epoch where id = r.placement;
    end if;
    select jsonb_agg(jsonb_build_object('origin', c.origin, 'life', c.life, 'position', c.position)) into rows
    from ig.change c
    where c.placement = r.placement
      and (c.status = 'inert'
           or exists (select from ig.epoch e
                      where e.placement = r.placement and e.in_force and c.epoch < e.epoch
                        and not exists (select from ig.cut k
                                        where k.placement = e.placement and k.epoch = e.epoch and k.by_origin = e.origin
                                          and k.by_life = e.life and k.by_position = e.position
                                          and k.origin = c.origin and k.life = c.life and k.held @> c.position)));
    perform ig.reclassify(r.placement, coalesce(rows, '[]'));
end $$;

-- The placement may not live here any more: keep identities and digests, nothing else.
create function ig.drop_placement(p_placement text) returns void language plpgsql as $$
begin
    delete from ig.entity where placement = p_placement;
    delete from ig.relationship where placement = p_placement;
    delete from ig.snapshot where placement = p_placement;
    delete from ig.outcome where placement = p_placement;
    update ig.change set body = null, touches = '{}', tenant = null, key_hash = null, request_hash = null,
                         status = 'dropped'
    where placement = p_placement and kind = 'write' and status <> 'dropped';
end $$;

create function ig.take_decision(r ig.change) returns void language plpgsql as $$
begin
    insert into ig.decision (placement, origin, life, position, by_epoch, by_origin, by_life, by_position, adopt, reason)
    select r.placement, d.origin, d.life, d.position, r.epoch, r.origin, r.life, r.position, r.kind = 'adopt',
           r.body ->> 'reason'
    from jsonb_to_recordset(r.body -> 'rows') as d(origin text, life int, position bigint)
    on conflict do nothing;
    perform ig.reclassify(r.placement, r.body -> 'rows');
end $$;

-- Apply one row that may live here; returns the status it gets.
create function ig.take(r ig.change) returns text language plpgsql as $$
declare
    gone text[];
    counts boolean;
begin
    if r.kind = 'open' then
        perform ig.take_open(r);
        return case when ig.inside_cuts(r.placement, r.epoch, r.origin, r.life, r.position) then 'applied' else 'inert' end;
    elsif r.kind in ('adopt', 'reject') then
        perform ig.take_decision(r);
        return case when ig.inside_cuts(r.placement, r.epoch, r.origin, r.life, r.position) then 'applied' else 'inert' end;
    elsif r.kind <> 'write' then
        raise exception 'a row of kind % is not known here', r.kind;
    end if;
    if r.key_hash is not null then
        insert into ig.outcome (tenant, key_hash, origin, life, position, placement, epoch, request_hash)
        values (r.tenant, r.key_hash, r.origin, r.life, r.position, r.placement, r.epoch, r.request_hash)
        on conflict do nothing;
    end if;
    select array_agg(o ->> 'id') into gone from jsonb_array_elements(r.body -> 'objects') o where o ->> 'kind' = 'erased';
    if gone is not null then
        perform ig.redact(r.tenant, gone);
    end if;
    counts := ig.accepted(r.placement, r.epoch, r.origin, r.life, r.position, r.kind);
    if counts then
        perform ig.put(r.placement, r.tenant, r.epoch, r.position, r.body -> 'objects');
    end if;
    return case when counts then 'applied' else 'inert' end;
end $$;

create function ig.hold(p_placement text, p_why text) returns void language sql as $$
    update ig.placement set hold = p_why where id = p_placement and hold is null;
$$;

-- What becomes of a row that is not a repeat: drop, redact, hold or apply. Returns the row as it is to be kept.
create function ig.admit(r ig.change) returns ig.change language plpgsql as $$
declare
    p ig.placement;
    local ig.region;
begin
    select * into local from ig.region;
    select * into p from ig.placement where id = r.placement;
    if r.kind = 'write' and not local.name = any (coalesce(p.regions, r.replicate_to)) then
        r.body := null; r.touches := '{}'; r.tenant := null; r.key_hash := null; r.request_hash := null;
        r.status := 'dropped';
        return r;
    end if;
    if r.kind = 'write' and exists (select from ig.erased x where x.tenant = r.tenant and x.touch = any (r.touches)) then
        r.body := ig.without_erased(r.tenant, r.body);
    end if;
    if r.version > local.reads then
        perform ig.hold(r.placement, format('%s/%s/%s is of operation version %s; this region reads up to %s',
                                            r.origin, r.life, r.position, r.version, local.reads));
        r.status := 'held';
    elsif p.hold is not null then
        r.status := 'held';
    elsif local.name = r.origin and local.life = r.life and current_setting('session_replication_role') <> 'replica' then
        r.status := ig.take(r);
    else
        begin
            r.status := ig.take(r);
        exception when others then
            perform ig.hold(r.placement, format('%s/%s/%s could not be applied (SQLSTATE %s)',
                                                r.origin, r.life, r.position, sqlstate));
            insert into ig.trouble (what, placement, origin, life, position, sqlstate)
            values ('apply', r.placement, r.origin, r.life, r.position, sqlstate);
            r.status := 'held';
        end;
    end if;
    return r;
end $$;

create function ig.arrive() returns trigger language plpgsql set search_path = '' as $$
declare
    kept ig.change;
begin
    new.arrived := pg_current_xact_id();
    new.arrival := nextval('ig.arrival');
    if new.kind = 'write' then
        perform ig.lock_placement_shared(new.placement);
    else
        perform ig.lock_placement(new.placement);
    end if;
    perform pg_advisory_xact_lock(hashtextextended(new.origin || '/' || new.life || '/' || new.position, 1));
    select * into kept from ig.change c
    where c.origin = new.origin and c.life = new.life and c.position = new.position;
    if found then
        -- A repeat. Only a stub whose placement has come back to this region gives way to the whole row.
        if kept.status <> 'dropped' or new.body is null
           or not exists (select from ig.placement p where p.id = new.placement and ig.here() = any (p.regions)) then
            return null;
        end if;
        delete from ig.change c where c.origin = new.origin and c.life = new.life and c.position = new.position;
        perform ig.untally(kept);
    end if;
    return ig.admit(new);
end $$;

create trigger arrive before insert on ig.change for each row execute function ig.arrive();
alter table ig.change enable always trigger arrive;

-- Lift a hold: take the held rows again in the order they came. Rows that still cannot be applied hold it again.
create function ig.release(p_placement text) returns bigint language plpgsql set search_path = '' as $$
declare
    r ig.change;
    n bigint := 0;
begin
    perform ig.lock_placement(p_placement);
    update ig.placement set hold = null where id = p_placement;
    for r in select * from ig.change where placement = p_placement and status = 'held' order by arrived, arrival
    loop
        r := ig.admit(r);
        update ig.change c set status = r.status, body = r.body, touches = r.touches, tenant = r.tenant,
                               key_hash = r.key_hash, request_hash = r.request_hash
        where (c.origin, c.life, c.position) = (r.origin, r.life, r.position);
        n := n + 1;
    end loop;
    return n;
end $$;
