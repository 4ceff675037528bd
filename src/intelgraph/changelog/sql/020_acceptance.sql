-- Which rows count. Pure functions of the opens, cuts and decisions held here; nothing depends on when they arrived.

create function ig.here() returns text language sql stable parallel safe
    return (select name from ig.region);

-- The 64-bit name of an object in locks and in `touches`.
create function ig.touch(tenant text, kind text, id text) returns bigint language sql immutable parallel safe
    return hashtextextended(kind || chr(31) || tenant || chr(31) || id, 0);

-- One lock per placement: writers share it, whatever changes what counts takes it alone.
create function ig.lock_placement_shared(placement text) returns void language sql volatile
    return pg_advisory_xact_lock_shared(1, hashtext(placement));
create function ig.lock_placement(placement text) returns void language sql volatile
    return pg_advisory_xact_lock(1, hashtext(placement));

-- First rule of acceptance: inside the cut of every open in force with a higher epoch.
create function ig.inside_cuts(p_placement text, p_epoch bigint, p_origin text, p_life int, p_position bigint)
returns boolean language sql stable as $$
    select not exists (
        select from ig.epoch o
        where o.placement = p_placement and o.in_force and o.epoch > p_epoch
          and not exists (
              select from ig.cut c
              where c.placement = o.placement and c.epoch = o.epoch
                and c.by_origin = o.origin and c.by_life = o.life and c.by_position = o.position
                and c.origin = p_origin and c.life = p_life and c.held @> p_position));
$$;

-- The latest accepted decision about a row: true adopted, false rejected, null none.
create function ig.verdict(p_placement text, p_origin text, p_life int, p_position bigint)
returns boolean language sql stable as $$
    select d.adopt from ig.decision d
    where d.placement = p_placement and d.origin = p_origin and d.life = p_life and d.position = p_position
      and ig.inside_cuts(d.placement, d.by_epoch, d.by_origin, d.by_life, d.by_position)
    order by d.by_epoch desc, d.by_position desc limit 1;
$$;

create function ig.accepted(p_placement text, p_epoch bigint, p_origin text, p_life int, p_position bigint, p_kind text)
returns boolean language sql stable as $$
    select ig.inside_cuts(p_placement, p_epoch, p_origin, p_life, p_position)
        or (p_kind = 'write' and coalesce(ig.verdict(p_placement, p_origin, p_life, p_position), false));
$$;

-- Settle which opens are in force, from the highest epoch down; true when any of them changed.
create function ig.recompute_force(p_placement text) returns boolean language plpgsql as $$
declare
    o record;
    forced boolean;
    changed boolean := false;
begin
    for o in select * from ig.epoch where placement = p_placement
             order by epoch desc, origin desc, life desc, position desc
    loop
        -- Those above are settled already, so this looks only at opens in force above this one.
        forced := ig.inside_cuts(p_placement, o.epoch, o.origin, o.life, o.position)
            and not exists (select from ig.epoch e where e.placement = p_placement and e.epoch = o.epoch and e.in_force
                            and (e.origin, e.life, e.position) > (o.origin, o.life, o.position));
        if forced is distinct from o.in_force then
            update ig.epoch e set in_force = forced
            where e.placement = p_placement and e.epoch = o.epoch and e.origin = o.origin and e.life = o.life
              and e.position = o.position;
            changed := true;
        end if;
    end loop;
    return changed;
end $$;
