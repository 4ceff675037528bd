-- The tests' half inside each region's database: what would leave by replication is kept in a tap, in order, and one
-- function shows everything a region concludes about a placement. Nothing here changes what the log does.

create schema harness;

create table harness.tap (
    seq bigserial primary key,
    xid xid8 not null default pg_current_xact_id(),
    destination text,                    -- null: a row of the log, for everyone it is addressed to
    kind text not null,
    content jsonb not null
);

-- Fires for what is written here, not for what replication brings (ENABLE ORIGIN is the default).
create function harness.note() returns trigger language plpgsql as $$
begin
    if tg_table_name = 'change' then
        insert into harness.tap (kind, content)
        values ('change', to_jsonb(new) - 'arrived' - 'arrival' - 'status');
    else
        insert into harness.tap (destination, kind, content) values (new.destination, new.kind, to_jsonb(new));
    end if;
    return null;
end $$;
create trigger note after insert on ig.change for each row execute function harness.note();
create trigger note after insert on ig.signal for each row execute function harness.note();

-- What was committed here since `p_after`, in the order of commit.
create function harness.drain() returns jsonb language plpgsql as $$
declare
    found jsonb;
begin
    with taken as (delete from harness.tap returning *)
    select coalesce(jsonb_agg(jsonb_build_object('destination', destination, 'kind', kind, 'content', content)
                              order by pg_xact_commit_timestamp(xid::xid), seq), '[]')
    into found from taken;
    return found;
end $$;

-- Everything a region concludes about one placement.
create function harness.observe(p_placement text, p_tenants text[], p_keys text[]) returns jsonb language sql stable as $$
    select jsonb_build_object(
        'rows', (select coalesce(jsonb_agg(jsonb_build_array(c.origin, c.life, c.position, c.status,
                                                             coalesce(c.body -> 'objects', '[]'))), '[]')
                 from ig.change c where c.placement = p_placement),
        'objects', (
            select coalesce(jsonb_agg(x), '[]') from (
                select jsonb_build_object('tenant', e.tenant, 'epoch', e.epoch, 'position', e.position,
                                          'deleted', e.deleted, 'object', ig.entity_json(e)) as x
                from ig.entity e where e.tenant = any (p_tenants)
                union all
                select jsonb_build_object('tenant', r.tenant, 'epoch', r.epoch, 'position', r.position,
                                          'deleted', r.deleted, 'object', ig.relationship_json(r))
                from ig.relationship r where r.tenant = any (p_tenants)) o),
        'placement', (select jsonb_build_object('epoch', p.epoch, 'home', p.home, 'hold', p.hold, 'gap', p.gap)
                      from ig.placement p where p.id = p_placement),
        'salvage', (select coalesce(jsonb_agg(jsonb_build_array(s ->> 'origin', (s ->> 'life')::int,
                                                                (s ->> 'position')::bigint, s ->> 'class')), '[]')
                    from jsonb_array_elements(ig.salvage(p_placement, null, 100000) -> 'rows') s),
        'outcomes', (select coalesce(jsonb_agg(jsonb_build_array(k.tenant, k.key, ig.key_outcome(p_placement, k.tenant, k.key))), '[]')
                     from unnest(p_tenants) t(tenant), unnest(p_keys) y(key), lateral (select t.tenant, y.key) k),
        'digests', (select coalesce(jsonb_agg(jsonb_build_array(d ->> 'origin', (d ->> 'life')::int, d -> 'rows',
                                                                d ->> 'sum')), '[]')
                    from jsonb_array_elements(ig.digests(p_placement, (
                        select coalesce(jsonb_agg(jsonb_build_object('origin', c.origin, 'life', c.life, 'position', c.at)), '[]')
                        from (select u.origin, u.life, max(u.position) as at from (
                                  select x.origin, x.life, x.position from ig.change x where x.placement = p_placement
                                  union all
                                  select k.origin, k.life, k.position from ig.compacted k where k.placement = p_placement) u
                              group by 1, 2) c))) d),
        'troubles', (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from ig.trouble t));
$$;
