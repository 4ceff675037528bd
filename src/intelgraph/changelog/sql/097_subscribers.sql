-- Subscribers of the feed: each has a cursor, and one that has no state here, or reads below the floor, begins with the
-- state in pages. Its cursor is set before the first page: what changes meanwhile is in the log after it.

-- Note that nothing below this place can be read whole any more.
create function ig.lift_feed_floor(p_arrived xid8, p_arrival bigint) returns void language sql as $$
    update ig.feed_floor set arrived = p_arrived, arrival = p_arrival where (arrived, arrival) < (p_arrived, p_arrival);
$$;

-- Forget all subscribers but these: one that comes back has to begin anew.
create function ig.forget_subscribers(p_names text[]) returns void language sql security definer set search_path = '' as $$
    delete from ig.cursor where subscriber <> 'digest' and subscriber <> all (p_names);
$$;

create function ig.know_subscriber(p_name text) returns void language sql security definer set search_path = '' as $$
    insert into ig.cursor (subscriber, arrived, arrival, rebuilding) values (p_name, '0', 0, true) on conflict do nothing;
$$;

-- May a subscriber go on from its cursor? Asked after the rows were read: what was compacted before is noticed.
create function ig.may_follow(p_subscriber text) returns boolean language sql stable security definer set search_path = '' as $$
    select not k.rebuilding and (k.arrived, k.arrival) >= (f.arrived, f.arrival)
    from ig.cursor k, ig.feed_floor f where k.subscriber = p_subscriber;
$$;

-- Say that a subscriber begins anew.
create function ig.ask_for_rebuild(p_subscriber text) returns void language sql security definer set search_path = '' as $$
    update ig.cursor set rebuilding = true, page_after = null where subscriber = p_subscriber;
$$;

-- Where a rebuild begins in the log: at the horizon, before the first page is read. False: not yet, since a transaction
-- that is older than the floor still runs.
create function ig.begin_rebuild(p_subscriber text) returns boolean language plpgsql security definer set search_path = '' as $$
declare
    final xid8 := ig.horizon();
begin
    if (select f.arrived >= final from ig.feed_floor f) then
        return false;
    end if;
    update ig.cursor set arrived = final, arrival = 0, moved_at = now(), page_after = '{}' where subscriber = p_subscriber;
    return true;
end $$;

create function ig.end_rebuild(p_subscriber text) returns void language sql security definer set search_path = '' as $$
    update ig.cursor set rebuilding = false, page_after = null, moved_at = now() where subscriber = p_subscriber;
$$;

create function ig.end_page(p_subscriber text, p_after text[]) returns void language sql security definer set search_path = '' as $$
    update ig.cursor set page_after = p_after, moved_at = now() where subscriber = p_subscriber;
$$;

-- The state of every tenant kept here, after an object: entities, then relationships, each in order of tenant and id.
-- Tombstones are told: a row that comes late must not bring back what was deleted. A page ends after `p_max` objects,
-- or when it has `p_bytes`; with one object at least.
create function ig.state_page(p_after text[], p_max int, p_bytes bigint) returns table (
    kind text, tenant text, id text, placement text, epoch bigint, "position" bigint, object jsonb)
language plpgsql stable security definer set search_path = '' as $$
declare
    e ig.entity;
    r ig.relationship;
    begun text := coalesce(p_after[1], 'entity');
    n int := 0;
    bytes bigint := 0;
begin
    if begun = 'entity' then
        for e in select * from ig.entity x where (x.tenant, x.id) > (coalesce(p_after[2], ''), coalesce(p_after[3], ''))
                 order by x.tenant, x.id limit p_max loop
            if bytes >= p_bytes then
                return;
            end if;
            kind := 'entity'; tenant := e.tenant; id := e.id; placement := e.placement; epoch := e.epoch; "position" := e.position;
            object := case when e.deleted then jsonb_build_object('kind', kind, 'id', e.id, 'deleted', true, 'revision', e.revision)
                      else ig.entity_json(e) end;
            n := n + 1;
            bytes := bytes + octet_length(object::text);
            return next;
        end loop;
    end if;
    for r in select * from ig.relationship x
             where (x.tenant, x.id) > (case when begun = 'relationship' then p_after[2] else '' end,
                                       case when begun = 'relationship' then p_after[3] else '' end)
             order by x.tenant, x.id limit p_max - n loop
        if bytes >= p_bytes then
            return;
        end if;
        kind := 'relationship'; tenant := r.tenant; id := r.id; placement := r.placement; epoch := r.epoch; "position" := r.position;
        object := case when r.deleted then jsonb_build_object('kind', kind, 'id', r.id, 'deleted', true, 'revision', r.revision)
                  else ig.relationship_json(r) end;
        bytes := bytes + octet_length(object::text);
        return next;
    end loop;
end $$;

-- Note that a subscriber fails, since when it did first, and why; null: it does not any more.
create function ig.note_subscriber(p_subscriber text, p_reason text) returns void language sql security definer set search_path = '' as $$
    update ig.cursor set reason = p_reason,
        failing_since = case when p_reason is not null then coalesce(failing_since, clock_timestamp()) end
    where subscriber = p_subscriber and reason is distinct from p_reason;
$$;

-- Each subscriber's state and lag: how many rows wait for it (of those that arrived, 10,001 at most are counted; and those
-- that come again), and how old the first that arrived is by the clock of the region that wrote it.
create function ig.subscribers() returns table (
    subscriber text, state text, since_ms bigint, reason text, lag_rows bigint, lag_ms bigint)
language sql stable security definer set search_path = '' as $$
    select k.subscriber,
           case when k.failing_since is not null then 'failing' when k.rebuilding then 'rebuilding' else 'following' end,
           (extract(epoch from clock_timestamp() - k.failing_since) * 1000)::bigint, k.reason,
           waiting.rows + (select count(*) from ig.again a where (a.arrived, a.arrival) > (k.arrived, k.arrival)),
           coalesce(greatest(0, extract(epoch from clock_timestamp() - waiting.first) * 1000), 0)::bigint
    from ig.cursor k, lateral (
        select count(*) as rows, (array_agg(w.written_at order by w.arrived, w.arrival))[1] as first from (
            select c.arrived, c.arrival, c.written_at from ig.change c
            where (c.arrived, c.arrival) > (k.arrived, k.arrival) and c.arrived < (select ig.horizon())
            order by c.arrived, c.arrival limit 10001) w) waiting
    where k.subscriber <> 'digest' order by k.subscriber;
$$;
