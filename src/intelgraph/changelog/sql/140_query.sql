-- What compiled queries read: two tables, under row-level security, and the searches that take more than one step.
-- The tenant is named in every predicate of a statement; a predicate that was forgotten finds nothing, because the
-- policies compare with what the statement itself has set.

grant select on ig.entity, ig.relationship to ig_api;
alter table ig.entity enable row level security;
alter table ig.relationship enable row level security;
create policy of_the_tenant on ig.entity for select to ig_api using (tenant = current_setting('ig.tenant', true));
create policy of_the_tenant on ig.relationship for select to ig_api using (tenant = current_setting('ig.tenant', true));

-- Under row-level security an index serves only operators that cannot tell what they saw: these two raise no error and
-- answer yes or no.
alter function pg_catalog.jsonb_contains(jsonb, jsonb) leakproof;
alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof;

-- The words of an entity. A text search vector has 1 MB at most, whatever a text is made of: more is not searched.
create function ig.words(p_name text, p_properties jsonb) returns tsvector language sql immutable parallel safe
    return to_tsvector('pg_catalog.simple', left(coalesce(p_name, ''), 10000) || ' '
                       || left(coalesce(p_properties ->> 'description', ''), 40000));

-- All of the words, each perhaps only begun, cut as `words` cuts them.
create function ig.word_query(p_text text) returns tsquery language sql immutable parallel safe
    return (select to_tsquery('pg_catalog.simple', coalesce(string_agg(quote_literal(w.lexeme) || ':*', ' & '), ''))
            from unnest(to_tsvector('pg_catalog.simple', p_text)) w);

create extension if not exists btree_gin with schema public;
create index entity_words on ig.entity using gin (tenant, ig.words(name, properties))
    with (gin_pending_list_limit = 256) where not deleted;
create index entity_type on ig.entity (tenant, type, id) where not deleted;
create index entity_updated on ig.entity (tenant, updated, id) where not deleted;

create function ig.ids(p_list jsonb) returns text[] language sql immutable parallel safe
    return array(select jsonb_array_elements_text(p_list));

-- One step of a search: the neighbors of `p_from`, each once.
create function ig.step(p_tenant text, p_from text[], p_direction text, p_types text[]) returns setof text
language sql stable parallel safe as $$
    select r.target from ig.relationship r
    where p_direction <> 'IN' and r.tenant = p_tenant and r.source = any (p_from) and not r.deleted
      and (p_types is null or r.type = any (p_types))
    union
    select r.source from ig.relationship r
    where p_direction <> 'OUT' and r.tenant = p_tenant and r.target = any (p_from) and not r.deleted
      and (p_types is null or r.type = any (p_types))
$$;

-- What can be reached, nearest first and then by id, until the budget is used up. The starts count, where they exist.
create function ig.reach(p_tenant text, p_from text[], p_hops int, p_direction text, p_types text[], p_nodes int,
                         out ids text[], out hops int[], out truncated boolean)
language plpgsql stable as $$
declare
    frontier text[];
    room int;
begin
    select array_agg(e.id order by e.id) into ids from ig.entity e
    where e.tenant = p_tenant and e.id = any (p_from) and not e.deleted;
    ids := coalesce(ids, '{}');
    truncated := cardinality(ids) > p_nodes;
    ids := ids[1:p_nodes];
    hops := array_fill(0, array[cardinality(ids)]);
    frontier := ids;
    for hop in 1 .. p_hops loop
        exit when frontier = '{}' or truncated;
        room := p_nodes - cardinality(ids);
        select array_agg(n order by n) into frontier from (
            select s as n from ig.step(p_tenant, frontier, p_direction, p_types) s
            except select unnest(ids) order by 1 limit room + 1) found;
        frontier := coalesce(frontier, '{}');
        truncated := cardinality(frontier) > room;
        frontier := frontier[1:room];
        ids := ids || frontier;
        hops := hops || array_fill(hop, array[cardinality(frontier)]);
    end loop;
end $$;

-- The relationships that a search went along: those at an entity from which it went on, to another that it found.
create function ig.among(p_tenant text, p_ids text[], p_hops int[], p_hops_max int, p_direction text, p_types text[])
returns setof ig.relationship language sql stable as $$
    with found as materialized (select * from unnest(p_ids, p_hops) as f(id, hops)),
         inner_ids as materialized (select array_agg(id) as ids from found where hops < p_hops_max)
    select r.* from inner_ids i, ig.relationship r
    where r.tenant = p_tenant and not r.deleted and (p_types is null or r.type = any (p_types))
      and p_direction <> 'IN' and r.source = any (i.ids) and r.target in (select id from found)
    union
    select r.* from inner_ids i, ig.relationship r
    where r.tenant = p_tenant and not r.deleted and (p_types is null or r.type = any (p_types))
      and p_direction <> 'OUT' and r.target = any (i.ids) and r.source in (select id from found)
$$;

create function ig.opposite(p_direction text) returns text language sql immutable parallel safe
    return case p_direction when 'OUT' then 'IN' when 'IN' then 'OUT' else p_direction end;

-- The relationships at one entity, with the entity at their other end.
create function ig.between(p_tenant text, p_id text, p_direction text, p_types text[])
returns table (id text, neighbor text) language sql stable as $$
    select r.id, r.target from ig.relationship r
    where p_direction <> 'IN' and r.tenant = p_tenant and r.source = p_id and not r.deleted
      and (p_types is null or r.type = any (p_types))
    union
    select r.id, r.source from ig.relationship r
    where p_direction <> 'OUT' and r.tenant = p_tenant and r.target = p_id and not r.deleted
      and (p_types is null or r.type = any (p_types))
$$;

-- All shortest paths between two entities, each as {"entities": [...], "relationships": [...]}. The search goes on from
-- both ends, always from the side with fewer entities, and gives up when it has seen `budget` of them.
create function ig.paths(p_tenant text, p_from text, p_to text, p_hops int, p_direction text, p_types text[], p_max int,
                         out paths jsonb, out truncated boolean)
language plpgsql stable as $$
declare
    budget constant int := 50000;
    near text[] := array[p_from];          -- reached from the start, with how far
    near_at int[] := array[0];
    far text[] := array[p_to];             -- from which the end is reached, with how far
    far_at int[] := array[0];
    near_edge text[] := near;
    far_edge text[] := far;
    steps_near int := 0;
    steps_far int := 0;
    met text[];
begin
    paths := '[]';
    truncated := false;
    if (select count(*) from ig.entity e where e.tenant = p_tenant and e.id in (p_from, p_to) and not e.deleted)
       <> (case when p_from = p_to then 1 else 2 end) then
        return;
    end if;
    loop
        met := array(select unnest(near_edge) intersect select unnest(far_edge));
        exit when met <> '{}' or steps_near + steps_far = p_hops or near_edge = '{}' or far_edge = '{}';
        if cardinality(near) + cardinality(far) > budget then
            truncated := true;
            return;
        end if;
        if cardinality(near_edge) <= cardinality(far_edge) then
            near_edge := array(select s from ig.step(p_tenant, near_edge, p_direction, p_types) s except select unnest(near));
            steps_near := steps_near + 1;
            near := near || near_edge;
            near_at := near_at || array_fill(steps_near, array[cardinality(near_edge)]);
        else
            far_edge := array(select s from ig.step(p_tenant, far_edge, ig.opposite(p_direction), p_types) s except select unnest(far));
            steps_far := steps_far + 1;
            far := far || far_edge;
            far_at := far_at || array_fill(steps_far, array[cardinality(far_edge)]);
        end if;
    end loop;
    if met = '{}' then
        return;
    end if;
    with recursive place as materialized (
        -- Each entity that may lie on a path, with how far from the start; the middle ones are those where it met.
        select id, at from unnest(near, near_at) as n(id, at) where at < steps_near
        union select unnest(met), steps_near
        union select id, steps_near + steps_far - at from unnest(far, far_at) as f(id, at) where at < steps_far
    ), back as (
        -- From where they met back to the start: every step has a next one, so nothing is walked in vain.
        select m as id, steps_near as at, array[m] as entities, '{}'::text[] as relationships from unnest(met) m
        union all
        select p.id, b.at - 1, p.id || b.entities, r.id || b.relationships
        from back b join lateral ig.between(p_tenant, b.id, ig.opposite(p_direction), p_types) r on b.at > 0
             join place p on p.id = r.neighbor and p.at = b.at - 1
    ), forth as (
        select m as id, steps_near as at, array[m] as entities, '{}'::text[] as relationships from unnest(met) m
        union all
        select p.id, f.at + 1, f.entities || p.id, f.relationships || r.id
        from forth f join lateral ig.between(p_tenant, f.id, p_direction, p_types) r on f.at < steps_near + steps_far
             join place p on p.id = r.neighbor and p.at = f.at + 1
    ), whole as (
        select b.entities || f.entities[2:] as entities, b.relationships || f.relationships as relationships
        from (select * from back where at = 0 limit 1000) b
        join (select * from forth where at = steps_near + steps_far limit 1000) f
             on f.entities[1] = b.entities[cardinality(b.entities)]
        order by 1, 2 limit p_max + 1
    )
    select coalesce(jsonb_agg(jsonb_build_object('entities', w.entities, 'relationships', w.relationships)
                              order by w.entities, w.relationships) filter (where w.n <= p_max), '[]'),
           count(*) > p_max
    into paths, truncated
    from (select *, row_number() over (order by entities, relationships) as n from whole) w;
end $$;

revoke all on all routines in schema ig from public;
grant execute on function
    ig.stamp(timestamptz), ig.words(text, jsonb), ig.word_query(text), ig.ids(jsonb), ig.step(text, text[], text, text[]),
    ig.reach(text, text[], int, text, text[], int), ig.among(text, text[], int[], int, text, text[]), ig.opposite(text),
    ig.paths(text, text, text, int, text, text[], int), ig.between(text, text, text, text[])
to ig_api;
