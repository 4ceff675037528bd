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
    ), again as (
        insert into ig.again (arrived, arrival, origin, life, position)
        select pg_current_xact_id(), nextval('ig.arrival'), f.origin, f.life, f.position from flip f
        order by f.epoch, f.position
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

-- Every (origin, life) with rows here: one look at the primary key per stream.
create function ig.streams_held() returns table (origin text, life int) language sql stable as $$
    with recursive s as (
        (select c.origin, c.life from ig.change c order by c.origin, c.life limit 1)
        union all
        select n.origin, n.life from s, lateral (
            select c.origin, c.life from ig.change c where (c.origin, c.life) > (s.origin, s.life)
            order by c.origin, c.life limit 1) n
    )
    select origin, life from s;
$$;

-- The range that a cut begins with: its settled prefix, if it has one.
create function ig.first_range(p_held int8multirange) returns int8range language sql immutable parallel safe
    return (select r from unnest(p_held) r limit 1);

-- The rows whose acceptance may change when the opens of `p_opens` come into force: those beyond their cuts. A cut
-- begins with a settled prefix, so that only the tail above it is looked at, however long the log is.
create function ig.rows_beyond(p_placement text, p_opens ig.epoch[]) returns jsonb language plpgsql stable as $$
declare
    e ig.epoch;
    s record;
    inside int8multirange;
    low bigint;
    found jsonb := '[]';
begin
    foreach e in array p_opens loop
        for s in select * from ig.streams_held() loop
            select k.held into inside from ig.cut k
            where k.placement = p_placement and k.epoch = e.epoch and k.by_origin = e.origin and k.by_life = e.life
              and k.by_position = e.position and k.origin = s.origin and k.life = s.life;
            inside := coalesce(inside, '{}');
            low := case when inside @> 1::bigint then upper(ig.first_range(inside)) else 0 end;
            found := found || (
                select coalesce(jsonb_agg(jsonb_build_object('origin', w.origin, 'life', w.life, 'position', w.position)), '[]')
                from ig.change w
                where w.origin = s.origin and w.life = s.life and w.position >= low
                  and w.placement = p_placement and w.epoch < e.epoch and not inside @> w.position);
        end loop;
    end loop;
    return found;
end $$;

-- Learn an epoch: record it and its cut, settle what is in force, re-derive every row beyond the cuts.
create function ig.take_open(r ig.change) returns void language plpgsql as $$
declare
    top ig.epoch;
    known ig.placement;
    before ig.epoch[];
    risen ig.epoch[];
    rows jsonb;
begin
    select array_agg(e) into before from ig.epoch e where e.placement = r.placement and e.in_force;
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
    select * into known from ig.placement where id = r.placement and epoch > 0;
    select * into top from ig.epoch where placement = r.placement and in_force order by epoch desc limit 1;
    insert into ig.placement as p (id, epoch, origin, life, home, standby, regions, durability, digest_key)
    values (top.placement, top.epoch, top.origin, top.life, top.home, top.standby, top.regions, top.durability, top.digest_key)
    on conflict (id) do update set epoch = excluded.epoch, origin = excluded.origin, life = excluded.life,
        home = excluded.home, standby = excluded.standby, regions = excluded.regions, durability = excluded.durability,
        digest_key = excluded.digest_key;
    if not ig.here() = any (top.regions) then
        perform ig.drop_placement(r.placement);
    elsif (top.origin, top.life) = (select g.name, g.life from ig.region g) then
        -- The home lacks nothing: what it did not hold when it opened, its cut has cut off. Its next cut must know.
        update ig.placement set holes = holes or gap is not null, gap = null where id = r.placement;
    elsif (known.id is null and (top.epoch > 1 or r.position <= (select z.position from ig.settled z
                                                                 where z.origin = r.origin and z.life = r.life)))
          or not ig.here() = any (known.regions) then
        -- Newly allowed here, after rows were written that were not addressed here, or told of it by reissue: say so
        -- until reissue has filled it.
        update ig.placement set gap = 'this region joined the placement at epoch ' || top.epoch where id = r.placement;
    elsif exists (select from ig.peer q where q.name = any (top.regions) and q.name <> all (coalesce(known.regions, '{}'))
                  and q.name <> r.origin and q.missed_at > clock_timestamp() - interval '1 hour') then
        -- What another region has lost on its way here may have been of this placement, and of a later epoch: the open
        -- that names it comes late, or comes again. What is new since is found whole by the first comparison.
        update ig.placement set gap = 'rows from a region were lost before this one heard that the placement is there'
        where id = r.placement;
    elsif known.holes then
        update ig.placement set gap = 'rows were lost while this region was the home' where id = r.placement and gap is null;
    end if;
    select array_agg(e) into risen from ig.epoch e
    where e.placement = r.placement and e.in_force
      and not exists (select from unnest(before) b
                      where (b.epoch, b.origin, b.life, b.position) = (e.epoch, e.origin, e.life, e.position));
    select ig.rows_beyond(r.placement, coalesce(risen, '{}')) || coalesce(jsonb_agg(jsonb_build_object(
        'origin', c.origin, 'life', c.life, 'position', c.position)), '[]') into rows
    from ig.change c where c.placement = r.placement and c.status = 'inert';
    perform ig.reclassify(r.placement, rows);
end $$;

-- The placement may not live here any more: keep identities and digests, nothing else. What was compacted has no
-- identities left here, so its digests go too: they would say that rows are here which are not.
create function ig.drop_placement(p_placement text) returns void language plpgsql as $$
declare
    tenants text[];
begin
    select array_agg(distinct x.tenant) into tenants from (
        select tenant from ig.change where placement = p_placement
        union select tenant from ig.snapshot where placement = p_placement) x;
    delete from ig.erased where tenant = any (tenants);
    delete from ig.largest where tenant = any (tenants);
    delete from ig.entity where placement = p_placement;
    delete from ig.relationship where placement = p_placement;
    delete from ig.snapshot where placement = p_placement;
    delete from ig.outcome where placement = p_placement;
    update ig.change set body = null, touches = '{}', tenant = null, key_hash = null, request_hash = null,
                         status = 'dropped'
    where placement = p_placement and kind not in ('open', 'adopt', 'reject') and status <> 'dropped';
    -- Why rows were adopted or rejected is written by people.
    update ig.change set body = ig.without_reason(body) where placement = p_placement and kind in ('adopt', 'reject');
    update ig.decision set reason = '' where placement = p_placement;
    update ig.placement set gap = null, holes = false, whole_epoch = 0, hold = case when exists (
        select from ig.change c where c.placement = p_placement and c.status = 'held') then hold end
    where id = p_placement;
    delete from ig.compacted where placement = p_placement;
    if found then
        perform ig.retally(p_placement);
    end if;
end $$;

create function ig.without_reason(p_body jsonb) returns jsonb language sql immutable
    return case jsonb_typeof(p_body) when 'object' then p_body - 'reason' end;

create function ig.take_decision(r ig.change) returns void language plpgsql as $$
begin
    insert into ig.decision (placement, origin, life, position, by_epoch, by_origin, by_life, by_position, adopt, reason)
    select r.placement, d.origin, d.life, d.position, r.epoch, r.origin, r.life, r.position, r.kind = 'adopt',
           coalesce(r.body ->> 'reason', '')
    from jsonb_to_recordset(r.body -> 'rows') as d(origin text, life int, position bigint)
    on conflict do nothing;
    perform ig.reclassify(r.placement, r.body -> 'rows');
end $$;

-- Apply one row that may live here; returns the status it gets. `p_epoch` is the epoch in force here, if one is known:
-- nothing cuts off its rows, nor those above it.
create function ig.take(r ig.change, p_epoch bigint) returns text language plpgsql as $$
declare
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
    elsif r.tenant is null or jsonb_typeof(r.body -> 'objects') is distinct from 'array' then
        raise exception 'a write without a tenant or without objects cannot be applied';
    end if;
    if r.key_hash is not null then
        insert into ig.outcome (tenant, key_hash, origin, life, position, placement, epoch, request_hash)
        values (r.tenant, r.key_hash, r.origin, r.life, r.position, r.placement, r.epoch, r.request_hash)
        on conflict do nothing;
    end if;
    counts := r.epoch >= p_epoch or ig.accepted(r.placement, r.epoch, r.origin, r.life, r.position, r.kind);
    if counts then
        perform ig.put(r.placement, r.tenant, r.epoch, r.position, r.body -> 'objects');
    end if;
    return case when counts then 'applied' else 'inert' end;
end $$;

-- Hold a placement, known here or not: a placement whose first row cannot be read is held under epoch 0.
create function ig.hold(r ig.change, p_why text) returns void language sql as $$
    insert into ig.placement as p (id, epoch, origin, life, home, regions, durability, digest_key, hold)
    values (r.placement, 0, r.origin, r.life, r.origin, r.replicate_to, 'home', '', p_why)
    on conflict (id) do update set hold = excluded.hold where p.hold is null;
$$;

-- A row of a version that is read here, whether its placement is held or not; returns the status it gets. Neither an
-- erasure nor a removal waits for a hold to be lifted.
create function ig.consider(r ig.change, p_held boolean, p_epoch bigint) returns text language plpgsql as $$
declare
    gone text[];
begin
    if r.kind = 'write' and ig.erases(r.body) then
        select array_agg(o ->> 'id') into gone from jsonb_array_elements(r.body -> 'objects') o where o ->> 'kind' = 'erased';
        perform ig.redact(r.tenant, gone);
    elsif p_held and r.kind = 'open' and not r.body -> 'regions' ? ig.here()
          and r.epoch > (select p.epoch from ig.placement p where p.id = r.placement) then
        return ig.take(r, p_epoch);
    end if;
    return case when p_held then 'held' else ig.take(r, p_epoch) end;
end $$;

-- The open of an epoch comes before its rows; where it did not come, something was lost, the open at least.
create function ig.miss_open(r ig.change) returns void language sql as $$
    update ig.placement p set gap = format('rows of epoch %s came from %s without its open', r.epoch, r.origin)
    where p.id = r.placement and p.gap is null
      and not exists (select from ig.epoch e where e.placement = r.placement and e.epoch = r.epoch
                      and e.origin = r.origin and e.life = r.life);
$$;

-- Will it pass when tried again? A deadlock, a full disk, a shutdown: the row is not to blame.
create function ig.passes(p_sqlstate text) returns boolean language sql immutable
    return left(p_sqlstate, 2) in ('40', '53', '57', '58') or p_sqlstate = '55P03';

-- What becomes of a row that is not a repeat: drop, redact, hold or apply. Returns the row as it is to be kept.
create function ig.admit(r ig.change) returns ig.change language plpgsql as $$
declare
    p record;
    control boolean := r.kind in ('open', 'adopt', 'reject');
    plain boolean;
begin
    -- A placement that is held before its first open has epoch 0 and allows nothing.
    select g.name as here, g.life as here_life, g.reads, nullif(x.epoch, 0) as epoch, x.hold,
           case when x.epoch > 0 then x.regions end as allowed,
           exists (select from ig.erased e where e.tenant = r.tenant and e.touch = any (r.touches)) as names_erased
    into p from ig.region g left join ig.placement x on x.id = r.placement;
    if not p.here = any (coalesce(p.allowed, r.replicate_to)) then
        if not control then
            r.body := null; r.touches := '{}'; r.tenant := null; r.key_hash := null; r.request_hash := null;
            r.status := 'dropped';
            return r;
        elsif r.kind <> 'open' then
            r.body := ig.without_reason(r.body);
        end if;
    end if;
    if not control and p.names_erased then
        r.body := ig.without_erased(r.tenant, r.body);
    end if;
    plain := p.hold is null and (r.kind <> 'write' or not ig.erases(r.body));
    if r.kind = 'write' and p.epoch between 1 and r.epoch - 1 then
        perform ig.miss_open(r);
    end if;
    if r.version > p.reads then
        perform ig.hold(r, format('%s/%s/%s is of operation version %s; this region reads up to %s',
                                  r.origin, r.life, r.position, r.version, p.reads));
        r.status := 'held';
    elsif p.here = r.origin and p.here_life = r.life and current_setting('session_replication_role') <> 'replica' then
        r.status := case when plain then ig.take(r, p.epoch) else ig.consider(r, p.hold is not null, p.epoch) end;
    else
        begin
            r.status := case when plain then ig.take(r, p.epoch) else ig.consider(r, p.hold is not null, p.epoch) end;
        exception when others then
            if ig.passes(sqlstate) then
                raise;
            end if;
            perform ig.hold(r, format('%s/%s/%s could not be applied (SQLSTATE %s)',
                                      r.origin, r.life, r.position, sqlstate));
            insert into ig.trouble (what, placement, origin, life, position, sqlstate)
            values ('apply', r.placement, r.origin, r.life, r.position, sqlstate);
            r.status := 'held';
        end;
    end if;
    return r;
end $$;

-- A row that cannot be kept at all: what identifies it is missing, or too long for an index.
create function ig.unkeepable(r ig.change) returns boolean language sql immutable
    return r.origin is null or r.life is null or r.position is null or r.placement is null or r.epoch is null
        or r.version is null or r.kind is null or r.replicate_to is null or r.touches is null or r.digest is null
        or r.written_at is null or length(r.origin) > 256 or length(r.placement) > 256 or length(r.kind) > 256
        or length(r.tenant) > 256;

create function ig.arrive() returns trigger language plpgsql set search_path = '' as $$
declare
    kept ig.change;
begin
    if ig.unkeepable(new) then
        insert into ig.trouble (what, placement, origin, life, position)
        values ('unkeepable', left(new.placement, 256), left(new.origin, 256), new.life, new.position);
        return null;
    end if;
    new.arrived := pg_current_xact_id();
    new.arrival := nextval('ig.arrival');
    if new.kind = 'write' and not ig.erases(new.body) then
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
    elsif new.kind = 'write' and current_setting('session_replication_role') = 'replica' and not ig.erases(new.body)
          and ig.is_compacted(new.placement, new.origin, new.life, new.position)
          and ig.verdict(new.placement, new.origin, new.life, new.position) is not true then
        -- It is part of the snapshot.
        return null;
    end if;
    return ig.admit(new);
end $$;

-- A row that an append writes here comes judged: under its locks, in the epoch in force, nothing of what arrival has to
-- decide is open. `status` is not among the columns that replication brings, and would not be believed there.
create trigger arrive before insert on ig.change for each row
    when (new.status is null or current_setting('session_replication_role') = 'replica') execute function ig.arrive();
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
        insert into ig.again (arrived, arrival, origin, life, position)
        values (pg_current_xact_id(), nextval('ig.arrival'), r.origin, r.life, r.position);
        n := n + 1;
    end loop;
    delete from ig.placement where id = p_placement and epoch = 0 and hold is null;
    return n;
end $$;
