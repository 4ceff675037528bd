-- Several appends in one transaction: one round trip and one flush for writes that wait at the same time.

-- The requests of one placement, each answered as if they had been appended one after the other (but for the positions
-- of those that have nothing in common). A refusal is that request's alone, for it writes nothing; an error is
-- everybody's, and who called asks for each again by itself. Nothing here waits for an object that another append
-- holds: such a request is answered `busy`, so that nobody waits for what somebody else asked for, and no group is part
-- of a deadlock. The same is said of whatever carries an erasure, which wants the placement for itself.
create function ig.append_many(p_placement text, p_epoch bigint, p_tenants text[], p_keys text[], p_hashes bytea[],
                               p_ops jsonb[])
returns jsonb[] language plpgsql security definer set search_path = '' as $$
declare
    p ig.placement;
    answers jsonb[];
    refused jsonb;
    standing text[];
    one bigint;
    entities_upto int;
begin
    perform pg_advisory_xact_lock_shared(1, hashtext(p_placement));
    if cardinality(p_ops) = 1 and ig.only_entities(p_ops[1]) and jsonb_array_length(p_ops[1]) = 1 then
        one := ig.touch(p_tenants[1], 'entity', p_ops[1] #>> '{0,entity,id}');
        if pg_try_advisory_xact_lock(one) and pg_try_advisory_xact_lock(ig.touch(p_tenants[1], 'key', p_keys[1])) then
            answers := array[ig.append_entity(p_placement, p_epoch, p_tenants[1], p_keys[1], p_hashes[1], p_ops[1] -> 0, one)];
            if answers[1] is not null then
                return answers;
            end if;
        end if;
    end if;
    select * into p from ig.open_here(p_placement, p_epoch);
    if not found then
        refused := ig.fence(p_placement, p_epoch);
        if refused is not null then
            return array(select coalesce(ig.size_refusal(o), refused) from unnest(p_ops) o);
        end if;
        select * into p from ig.placement where id = p_placement;
    end if;
    select coalesce(min(r.n) - 1, cardinality(p_ops)) into entities_upto
    from unnest(p_ops) with ordinality as r(ops, n) where not ig.only_entities(r.ops);
    if entities_upto > 0 then
        standing := ig.try_entities(p_tenants[1:entities_upto], p_keys[1:entities_upto], p_ops[1:entities_upto]);
        answers := ig.append_entities(p, p_tenants, p_keys, p_hashes,
            array(select case when s = 'plain' then o end from unnest(p_ops, standing) as r(o, s)));
    end if;
    for n in 1 .. cardinality(p_ops) loop
        if answers[n] is null then
            answers[n] := case
                when ig.size_refusal(p_ops[n]) is not null then ig.size_refusal(p_ops[n])
                when standing[n] = 'busy' or p_ops[n] @? '$[*] ? (@.op == "erase")'
                    or not ig.lock_objects(p_tenants[n], p_ops[n], p_keys[n], false) then '{"status": "busy"}'
                else ig.append_one(p, p_tenants[n], p_keys[n], p_hashes[n], p_ops[n]) end;
        end if;
    end loop;
    return answers;
end $$;

-- The same, committed, and how far this server had flushed just after that.
create procedure ig.append_many_and_place(p_placement text, p_epoch bigint, p_tenants text[], p_keys text[], p_hashes bytea[],
                                          p_ops jsonb[], inout answers jsonb[], inout flushed text)
language plpgsql as $$
begin
    answers := ig.append_many(p_placement, p_epoch, p_tenants, p_keys, p_hashes, p_ops);
    commit;
    flushed := pg_current_wal_flush_lsn();
end $$;
