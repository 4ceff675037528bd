-- Opening an epoch: the new home says which rows of older epochs it holds, and from then on nothing else counts.

-- The positions of one stream that are held here for a placement. With a settled prefix nothing below it is missing;
-- with a gap or holes only what is really here, whole, counts: not even of our own rows all are, after a removal and a
-- return.
create function ig.held_positions(p_placement text, p_origin text, p_life int) returns int8multirange
language plpgsql stable as $$
declare
    local ig.region;
    settled bigint;
    floor_at bigint;
    p ig.placement;
begin
    select * into local from ig.region;
    select * into p from ig.placement where id = p_placement;
    select position into floor_at from ig.compacted where placement = p_placement and origin = p_origin and life = p_life;
    if p.gap is not null or p.holes then
        settled := null;
    elsif p_origin = local.name and p_life = local.life then
        -- The placement's lock is held alone: no row of it is in flight here.
        select last_value into settled from ig.position where is_called;
    else
        select position into settled from ig.settled where origin = p_origin and life = p_life;
    end if;
    settled := greatest(settled, floor_at, 0);
    return coalesce((select range_agg(int8range(c.position, c.position, '[]'))
                     from ig.change c where c.origin = p_origin and c.life = p_life and c.position > settled
                       and c.placement = p_placement and c.status <> 'dropped'), '{}')
         + case when settled > 0 then int8multirange(int8range(1, settled, '[]')) else '{}' end;
end $$;

-- Open `p_epoch` here. Refused when this is not the home named, when the epoch is not newer, or when rows may be missing
-- (unless forced: then what is missing is cut off, and salvage decides about it). Asked again, it answers the same.
create function ig.open(p_placement text, p_epoch bigint, p_home text, p_regions text[], p_standby text,
                        p_durability text, p_digest_key bytea, p_force boolean default false)
returns jsonb language plpgsql security definer set search_path = '' set lock_timeout = '5s' as $$
declare
    local ig.region;
    p ig.placement;
    cut jsonb;
    bookmark text;
begin
    perform ig.lock_placement(p_placement);
    select * into local from ig.region;
    select * into p from ig.placement where id = p_placement;
    if p_home <> local.name then
        return ig.refusal('not_home', format('cannot open epoch %s of %s in %s: its home is to be %s',
                                             p_epoch, p_placement, local.name, p_home));
    elsif not p_home = any (p_regions) then
        return ig.refusal('home_not_allowed', format('cannot open epoch %s of %s in %s: it may live in %s only',
                                                     p_epoch, p_placement, p_home, array_to_string(p_regions, ', ')));
    elsif not coalesce(p_standby = any (p_regions) and p_standby <> p_home, true) then
        return ig.refusal('standby_not_allowed', format('cannot open epoch %s of %s: its standby %s must be another of the regions %s',
                                                        p_epoch, p_placement, p_standby, array_to_string(p_regions, ', ')));
    elsif p.epoch = p_epoch and p.origin = local.name and p.life = local.life and p.regions = p_regions
          and p.standby is not distinct from p_standby and p.durability = p_durability then
        return jsonb_build_object('status', 'repeated', 'bookmark', (
            select concat_ws('/', e.origin, e.life, e.epoch, e.position) from ig.epoch e
            where e.placement = p_placement and e.epoch = p_epoch and e.in_force));
    elsif p.epoch >= p_epoch then
        return ig.refusal('fenced', format('cannot open epoch %s of %s: epoch %s is open already', p_epoch, p_placement, p.epoch),
                          jsonb_build_object('epoch', p.epoch, 'home', p.home));
    elsif p.hold is not null then
        return ig.refusal('held', format('cannot open epoch %s of %s in %s: it is held: %s', p_epoch, p_placement, local.name, p.hold));
    elsif p.gap is not null and not p_force then
        return ig.refusal('gap', format('cannot open epoch %s of %s in %s: rows may be missing: %s', p_epoch, p_placement, local.name, p.gap));
    elsif p.epoch > 0 and not local.name = any (p.regions) then
        return ig.refusal('region_not_allowed', format('cannot open epoch %s of %s in %s: it may live in %s only, and %s keeps none of it',
                                                       p_epoch, p_placement, local.name, array_to_string(p.regions, ', '), local.name));
    elsif coalesce(p.epoch, 0) = 0 and p_epoch > 1 and not p_force then
        return ig.refusal('unknown_placement', format('cannot open epoch %s of %s in %s: no earlier epoch has arrived here',
                                                      p_epoch, p_placement, local.name));
    end if;
    select coalesce(jsonb_agg(jsonb_build_object('origin', s.origin, 'life', s.life,
                                                 'held', ig.held_positions(p_placement, s.origin, s.life)::text)
                              order by s.origin, s.life), '[]')
    into cut from (select distinct e.origin, e.life from ig.epoch e where e.placement = p_placement) s;
    p.id := p_placement;
    bookmark := ig.write_row(p, 'open', null, null, null,
        jsonb_build_object('home', p_home, 'regions', to_jsonb(p_regions), 'standby', p_standby,
                           'durability', p_durability, 'digest_key', encode(p_digest_key, 'hex'), 'cut', cut),
        '{}', (select array_agg(distinct r order by r) from unnest(p_regions || p.regions) r), p_epoch, p_digest_key);
    return jsonb_build_object('status', 'ok', 'bookmark', bookmark, 'cut', cut);
end $$;
