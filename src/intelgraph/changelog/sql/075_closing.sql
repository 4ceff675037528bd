-- A region's own side of authority: the heartbeat that its lease stands on, and closing a placement before it moves.

-- The agent processes that had a heartbeat committed here, newest last. Their lease may be taken over by the next one.
create table ig.heartbeat (
    term text primary key,
    counter bigint not null,
    at timestamptz not null
) with (fillfactor = 20);

-- Commit a heartbeat of the agent process `p_term`; tells what the region's lease says of its database.
create function ig.beat(p_term text, p_counter bigint) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
    insert into ig.heartbeat (term, counter, at) values (p_term, p_counter, clock_timestamp())
    on conflict (term) do update set counter = excluded.counter, at = excluded.at;
    delete from ig.heartbeat h where h.term in (select o.term from ig.heartbeat o order by o.at desc offset 20);
    return (select jsonb_build_object('life', g.life, 'schema', g.schema_digest, 'terms',
                                      (select jsonb_agg(h.term) from ig.heartbeat h))
            from ig.region g);
end $$;

-- End writing of `p_epoch` here. Whoever writes holds the placement's lock shared, so that when this has it alone nothing
-- is in flight: every row of the epoch is at or below the position told. Asked again, it answers the same.
create function ig.close(p_placement text, p_epoch bigint) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' as $$
declare
    refused jsonb;
    already ig.closing;
    closed ig.closing;
begin
    perform ig.lock_placement(p_placement);
    select * into already from ig.closing c where c.placement = p_placement and c.epoch = p_epoch;
    refused := ig.fence(p_placement, p_epoch);
    if already.placement is not null and refused ->> 'code' = 'closing' then
        closed := already;
    elsif refused is not null then
        return refused;
    else
        insert into ig.closing (placement, epoch, life, position)
        select p_placement, p_epoch, g.life, coalesce((select last_value from ig.position where is_called), 0)
        from ig.region g
        on conflict (placement) do update set epoch = excluded.epoch, life = excluded.life, position = excluded.position
        returning * into closed;
    end if;
    return jsonb_build_object('status', case when already.placement is null then 'ok' else 'repeated' end,
                              'last_position', concat_ws('/', closed.life, closed.position));
end $$;

-- Undo that, as long as the epoch is the one in force here; afterwards the refusal says what has come since.
create function ig.reopen(p_placement text, p_epoch bigint) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' as $$
declare
    refused jsonb;
    undone boolean;
begin
    perform ig.lock_placement(p_placement);
    delete from ig.closing c where c.placement = p_placement and c.epoch = p_epoch;
    undone := found;
    refused := ig.fence(p_placement, p_epoch);
    return coalesce(refused, jsonb_build_object('status', case when undone then 'ok' else 'repeated' end));
end $$;
