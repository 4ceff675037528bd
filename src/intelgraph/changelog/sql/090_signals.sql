-- What regions tell each other through the log's own stream: marks (settled positions, echo tokens, versions read) and
-- reissued rows. Each signal is inserted and deleted in one transaction: only the stream sees it.

-- Advance our own settled position. A position is drawn by a transaction that already has its id. So this transaction,
-- which takes its own id only after it read how far positions are drawn, has a higher id than whoever drew them; once
-- nothing older than it runs, they are all over. (A snapshot's end would not do: it lies below ids that are running.)
create function ig.settle() returns bigint language plpgsql security definer set search_path = '' as $$
declare
    local ig.region;
    known bigint;
    pending ig.settling;
    drawn bigint;
    fresh boolean := pg_current_xact_id_if_assigned() is null;
begin
    select * into local from ig.region;
    select case when is_called then last_value else 0 end into drawn from ig.position;
    select coalesce(max(position), 0) into known from ig.settled where origin = local.name and life = local.life;
    select * into pending from ig.settling;
    if pending.candidate > known and pending.horizon <= ig.horizon() then
        insert into ig.settled (origin, life, position) values (local.name, local.life, pending.candidate)
        on conflict (origin, life) do update set position = excluded.position
        where settled.position < excluded.position;
        known := pending.candidate;
    end if;
    if fresh and drawn > known and (pending.candidate is null or pending.candidate <= known) then
        insert into ig.settling (candidate, horizon, since) values (drawn, pg_current_xact_id(), clock_timestamp())
        on conflict (only_row) do update
        set candidate = excluded.candidate, horizon = excluded.horizon, since = excluded.since;
    end if;
    return known;
end $$;

-- For how long our settled position stands although more was drawn: 0 while it moves. Streams are so much older. It stands
-- because a transaction is open that may hold positions, or because nobody settles (a feed that hangs): then the first row
-- beyond it grows old.
create function ig.stands_ms() returns bigint language sql stable as $$
    select coalesce(max(greatest(0, extract(epoch from clock_timestamp() - x.since) * 1000))::bigint, 0)
    from ig.region r,
         lateral (select coalesce(max(s.position), 0) as position from ig.settled s
                  where s.origin = r.name and s.life = r.life) known,
         lateral (select g.since from ig.settling g where g.candidate > known.position
                  union all (select c.written_at from ig.change c
                             where c.origin = r.name and c.life = r.life and c.position > known.position
                             order by c.position limit 1)) x;
$$;

-- The row is deleted by its place: looking for it would read whatever earlier signals have left to be vacuumed.
create function ig.send(p_destination text, p_kind text, p_body jsonb) returns void language plpgsql as $$
declare
    place tid;
begin
    insert into ig.signal (origin, destination, kind, body) values (ig.here(), p_destination, p_kind, p_body)
    returning ctid into place;
    delete from ig.signal where ctid = place;
end $$;

-- Tell one region how far we are. `p_token_ns`: its own clock's reading, to be carried back to it (null: only a mark).
create function ig.echo(p_destination text, p_token_ns bigint) returns void
language plpgsql security definer set search_path = '' as $$
declare
    number bigint;
    local ig.region;
begin
    select * into local from ig.region;
    update ig.peer set sent = sent + 1 where name = p_destination returning sent into number;
    if not found then
        return;
    end if;
    perform ig.send(p_destination, 'mark', jsonb_build_object(
        'life', local.life, 'reads', local.reads, 'number', number, 'token_ns', p_token_ns,
        'stands_ms', ig.stands_ms(),
        'settled', (select jsonb_agg(jsonb_build_array(s.life, s.position)) from ig.settled s where s.origin = local.name)));
end $$;

-- A heartbeat to every peer, so that a gap in the stream shows in the numbers even when no write was lost.
create function ig.mark() returns void language plpgsql security definer set search_path = '' as $$
declare
    destination text;
begin
    for destination in select name from ig.peer order by name loop
        perform ig.echo(destination, null);
    end loop;
end $$;

-- Say that rows of some placements may be missing here. A home lacks nothing that counts: what it did not hold when it
-- opened is cut off. But it may have been replaced without having heard of it, or an origin been removed: then the loss
-- matters to the next cut alone, and is kept as holes. A gap that is known is said anew: whoever is about to close it
-- must not.
create function ig.note_gap(p_origin text, p_why text) returns void language sql as $$
    with concerned as (
        select p.id, p.home <> ig.here() and p_origin = any (p.regions) as matters from ig.placement p
        where ig.here() = any (p.regions) and p.epoch > 0
          and (p_origin = any (p.regions)
               or exists (select from ig.epoch e where e.placement = p.id and e.origin = p_origin)))
    update ig.placement p set gap = case when c.matters then p_why else p.gap end, holes = p.holes or not c.matters
    from concerned c where p.id = c.id;
$$;

create function ig.take_mark(p_from text, m jsonb) returns void language plpgsql as $$
declare
    before ig.peer;
begin
    select * into before from ig.peer where name = p_from for update;
    if before.got is not null and (m ->> 'number')::bigint <> before.got + 1 then
        perform ig.note_gap(p_from, format('marks %s to %s from %s never arrived', before.got + 1,
                                           (m ->> 'number')::bigint - 1, p_from));
        update ig.peer set missed_at = clock_timestamp() where name = p_from;
    end if;
    update ig.peer set got = (m ->> 'number')::bigint, reads = (m ->> 'reads')::int, heard_at = clock_timestamp(),
                       stands_ms = coalesce((m ->> 'stands_ms')::bigint, 0),
                       token_ns = coalesce((m ->> 'token_ns')::bigint, token_ns)
    where name = p_from;
    insert into ig.settled (origin, life, position)
    select p_from, (s ->> 0)::int, (s ->> 1)::bigint
    from jsonb_array_elements(case jsonb_typeof(m -> 'settled') when 'array' then m -> 'settled' else '[]' end) s
    on conflict (origin, life) do update set position = excluded.position where settled.position < excluded.position;
end $$;

-- The receiving end of ig.signal. Total: what fails is recorded.
create function ig.receive() returns trigger language plpgsql set search_path = '' as $$
begin
    if new.origin = ig.here() then
        return new;
    end if;
    if new.destination <> ig.here() then
        return null;
    end if;
    begin
        case new.kind
            when 'mark' then perform ig.take_mark(new.origin, new.body);
            when 'row' then
                -- Many rows come in one transaction: with the lock taken alone at once, none has to be raised later.
                perform ig.lock_placement(new.body ->> 'placement');
                insert into ig.change select * from jsonb_populate_record(null::ig.change, new.body);
            when 'snapshot' then perform ig.take_snapshot(new.body);
            else raise exception 'a signal of kind % is not known here', new.kind;
        end case;
    exception when others then
        if ig.passes(sqlstate) then
            raise;
        end if;
        insert into ig.trouble (what, origin, sqlstate) values ('signal ' || coalesce(new.kind, '?'), new.origin, sqlstate);
    end;
    return null;
end $$;
create trigger receive before insert on ig.signal for each row execute function ig.receive();
alter table ig.signal enable always trigger receive;

-- Send the rows that an `adopt` names, behind it: a region that lacks one (the old home may be gone) must not lack what
-- counts, and beneath a compaction (`ig.arrive`) it takes only what it knows to be adopted. Returns their bytes.
create function ig.send_named(p_destination text, p_placement text, p_rows jsonb) returns bigint language plpgsql as $$
declare
    row_ jsonb;
    bytes bigint := 0;
begin
    for row_ in
        select to_jsonb(c) - 'arrived' - 'arrival' - 'status'
        from jsonb_to_recordset(p_rows) as r(origin text, life int, position bigint)
        join ig.change c on (c.origin, c.life, c.position) = (r.origin, r.life, r.position)
        where c.placement = p_placement and c.status <> 'dropped'
    loop
        perform ig.send(p_destination, 'row', row_);
        bytes := bytes + octet_length(row_::text);
    end loop;
    return bytes;
end $$;

-- Send rows of one stream again, to one region, keeping their identity. At most `p_limit` rows and about 2 MB a call;
-- returns the position to go on from, or null when done. RESIDENCY: only to a region the placement allows now; under the
-- placement's lock, so that nothing is sent once a removal is known here.
create function ig.reissue(p_placement text, p_destination text, p_origin text, p_life int, p_from bigint,
                           p_limit int default 200)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    p ig.placement;
    row_ jsonb;
    at bigint;
    sent int := 0;
    bytes bigint := 0;
begin
    perform ig.lock_placement_shared(p_placement);
    select * into p from ig.placement where id = p_placement;
    if p.id is null or p.epoch = 0 or not p_destination = any (p.regions) then
        return ig.refusal('region_not_allowed', format('cannot reissue %s to %s: it may live in %s only', p_placement,
                                                       p_destination, coalesce(array_to_string(p.regions, ', '), 'no region known here')));
    elsif not ig.here() = any (p.regions) then
        return ig.refusal('region_not_allowed', format('cannot reissue %s from %s: it keeps none of it', p_placement, ig.here()));
    end if;
    for row_, at in
        select to_jsonb(c) - 'arrived' - 'arrival' - 'status', c.position from ig.change c
        where c.origin = p_origin and c.life = p_life and c.placement = p_placement and c.position >= p_from
          and c.status <> 'dropped'
        order by c.position limit p_limit
    loop
        perform ig.send(p_destination, 'row', row_);
        sent := sent + 1;
        bytes := bytes + octet_length(row_::text);
        if row_ ->> 'kind' = 'adopt' then
            bytes := bytes + ig.send_named(p_destination, p_placement, row_ #> '{body,rows}');
        end if;
        exit when bytes >= 2097152;
    end loop;
    return jsonb_build_object('status', 'ok', 'rows', sent,
                              'next', case when sent = p_limit or bytes >= 2097152 then at + 1 end);
end $$;

-- Tell a region which epochs it was named in, without any tenant's data: the last word to one that was removed while
-- it could not listen.
create function ig.reissue_opens(p_placement text, p_destination text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    row_ jsonb;
    sent int := 0;
begin
    for row_ in
        select to_jsonb(c) - 'arrived' - 'arrival' - 'status' from ig.change c
        where c.placement = p_placement and c.kind = 'open' and p_destination = any (c.replicate_to)
        order by c.epoch
    loop
        perform ig.send(p_destination, 'row', row_);
        sent := sent + 1;
    end loop;
    return jsonb_build_object('status', 'ok', 'rows', sent);
end $$;

-- The streams that hold rows of a placement, as its opens tell: the epochs each opened, how far one must look into it
-- to have seen every open in force and all that their cuts cover, and how far it is compacted here.
create function ig.streams(p_placement text) returns jsonb language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object('origin', s.origin, 'life', s.life, 'first_epoch', s.first, 'last_epoch', s.last,
        'needed', greatest(s.opened, (select max(upper(c.held)) - 1 from ig.cut c join ig.epoch e
                        on e.placement = c.placement and e.epoch = c.epoch and e.origin = c.by_origin and e.life = c.by_life
                       and e.position = c.by_position and e.in_force
                     where c.placement = p_placement and c.origin = s.origin and c.life = s.life), 0),
        'compacted', (select k.position from ig.compacted k
                      where k.placement = p_placement and k.origin = s.origin and k.life = s.life)) order by s.first), '[]')
    from (select origin, life, min(epoch) as first, max(epoch) as last, max(position) filter (where in_force) as opened
          from ig.epoch where placement = p_placement group by 1, 2) s;
$$;

-- `p_known` is the gap that was looked into: one that was noted meanwhile stays.
create function ig.close_gap(p_placement text, p_known text default null) returns void language sql security definer set search_path = '' as $$
    update ig.placement set gap = null, holes = false where id = p_placement and gap = coalesce(p_known, gap);
$$;
-- A comparison may end after its placement has left this region, or come home: then nothing is missing here.
create function ig.open_gap(p_placement text, p_why text) returns void language sql security definer set search_path = '' as $$
    update ig.placement set gap = p_why
    where id = p_placement and gap is null and ig.here() = any (regions) and home <> ig.here();
$$;
