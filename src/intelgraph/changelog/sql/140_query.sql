-- What compiled queries read: two tables, under row-level security, and the searches that take more than one step.
-- The tenant is named in every predicate of a statement; a predicate that was forgotten finds nothing, because the
-- policies compare with what the statement itself has set.

grant select on ig.entity, ig.relationship, ig.largest to ig_api;
alter table ig.entity enable row level security;
alter table ig.relationship enable row level security;
create policy of_the_tenant on ig.entity for select to ig_api using (tenant = current_setting('ig.tenant', true));
create policy of_the_tenant on ig.relationship for select to ig_api using (tenant = current_setting('ig.tenant', true));
alter table ig.largest enable row level security;
create policy of_the_tenant on ig.largest for select to ig_api using (tenant = current_setting('ig.tenant', true));

-- What `ig.readable` says without a bookmark of a placement that may be read here, kept in its row; null of all others. A
-- compiled statement looks here first, which costs a fifth of the call. Of a home elsewhere it must still ask `ig.heard`.
alter table ig.placement add column told jsonb;
create function ig.tell_placement() returns trigger language plpgsql set search_path = '' as $$
declare
    here text := ig.here();
begin
    new.told := case when here = any (new.regions) and new.hold is null and new.gap is null then
        jsonb_build_object('status', 'ok', 'home', new.home, 'largest', new.largest)
        || case when new.home = here then '{"token_ns": null}'::jsonb else '{}' end end;
    return new;
end $$;
create trigger told before insert or update on ig.placement for each row execute function ig.tell_placement();
alter table ig.placement enable always trigger told;
create function ig.tell_placements() returns trigger language plpgsql set search_path = '' as $$
begin
    update ig.placement set told = null;  -- each row is told anew
    return null;
end $$;
create trigger told after insert or update of name on ig.region for each statement execute function ig.tell_placements();
alter table ig.region enable always trigger told;
grant select (id, told) on ig.placement to ig_api;
create function ig.heard(p_home text) returns jsonb language plpgsql stable strict security definer set search_path = '' as $$
begin
    return jsonb_build_object('token_ns', (select q.token_ns from ig.peer q where q.name = p_home));
end $$;

-- Under row-level security an index serves only operators that cannot tell what they saw: these two raise no error and
-- answer yes or no.
alter function pg_catalog.jsonb_contains(jsonb, jsonb) leakproof;
alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof;

-- All that a text asks for. Runs apart are looked for one by one, each perhaps only begun; joined ones eight at a time, the
-- last of them perhaps only begun. Null if there is no run. Inlined, because it is no more than stable and has no
-- sub-select. A full stop marks eight that are complete, and a space stands between two operands. What is cut to 500
-- characters is looked for in longer texts alone (no letter becomes more than 11 times its bytes): it costs most of all.
create function ig.word_query(p_tenant text, p_text text) returns tsquery language sql stable parallel safe
    return ('''' || ig.tag(p_tenant) || replace(replace(regexp_replace(regexp_replace(regexp_replace(
                nullif(ig.runs(p_text), ''),
                '((?:[^ -]+-){7}[^ -]+)-', '\1. ', 'g'),
                '(^| )([^ -]+-[^ -]+)(-?)', '\1\3-\2\3', 'g'),
                case when octet_length(p_text) < 40 then '(\x01)' else '([^ .]{250}[^ .]{250})[^ .]+' end, '\1', 'g'),
                ' ', ''':* & ''' || ig.tag(p_tenant)), '.'':*', '''')
            || ''':*')::tsquery;

-- The words are kept beside the entity: to cut its text anew for each row that a search looks at would cost 30 times as much.
create index entity_words on ig.entity using gin (words) with (gin_pending_list_limit = 256) where not deleted;
-- New rows bring about an ANALYZE, and no VACUUM. A session plans a search anew when the row count in pg_class changes.
-- An ANALYZE that finds the count of the VACUUM just before it changes nothing there: a plan made between the two, without
-- statistics, stayed for good, and read all of a tenant for each search.
alter table ig.entity set (autovacuum_vacuum_insert_threshold = -1);
create index entity_type on ig.entity (tenant, type, id) where not deleted;
create index entity_updated on ig.entity (tenant, updated, id) where not deleted;

-- What a page gives as `next`: the list that it is of, a few digits by which a cursor that was cut or made up is known, and
-- the place behind which the list goes on. `intelgraph.model.cursor` reads it.
create function ig.page_cursor(p_list text, p_place text) returns text language sql immutable strict parallel safe
    return p_list || ':' || left(md5(p_list || ':' || p_place), 8) || ':' || p_place;

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
    with inner_ids as materialized (
        select array_agg(id) as ids from unnest(p_ids, p_hops) as f(id, hops) where hops < p_hops_max),
    -- First the relationships of the entities from which it went on: from all that were found there would be more.
    leaving as materialized (
        select r.id, r.target as there from inner_ids i, ig.relationship r
        where r.tenant = p_tenant and not r.deleted and (p_types is null or r.type = any (p_types))
          and p_direction <> 'IN' and r.source = any (i.ids)
        union all
        select r.id, r.source from inner_ids i, ig.relationship r
        where r.tenant = p_tenant and not r.deleted and (p_types is null or r.type = any (p_types))
          and p_direction <> 'OUT' and r.target = any (i.ids)),
    along as materialized (select distinct l.id from leaving l where l.there in (select unnest(p_ids)))
    select r.* from along a join ig.relationship r on r.tenant = p_tenant and r.id = a.id and not r.deleted
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
-- both ends, always from the side with fewer entities, and gives up when it has seen `budget` of them. Then the paths are
-- written out from the start, through entities that lie on one: every beginning has an end, so that at each step the
-- first `p_max` beginnings are enough for the first `p_max` paths.
create function ig.paths(p_tenant text, p_from text, p_to text, p_hops int, p_direction text, p_types text[], p_max int,
                         out paths jsonb, out truncated boolean)
language plpgsql stable as $$
declare
    budget constant int := 50000;
    back constant text := ig.opposite(p_direction);
    near text[] := array[p_from];               -- reached from the start
    far text[] := array[p_to];                  -- from which the end is reached
    near_edge text[] := near;
    far_edge text[] := far;
    near_levels jsonb[] := array[to_jsonb(near)];
    far_levels jsonb[] := array[to_jsonb(far)];
    met text[];
    level text[];
    places jsonb[];                             -- the entities on some path, by their distance from the start
begin
    paths := '[]';
    truncated := false;
    if (select count(*) from ig.entity e where e.tenant = p_tenant and e.id in (p_from, p_to) and not e.deleted)
       <> (case when p_from = p_to then 1 else 2 end) then
        return;
    end if;
    loop
        met := array(select unnest(near_edge) intersect select unnest(far_edge));
        exit when met <> '{}';
        truncated := cardinality(near) + cardinality(far) > budget;
        if truncated or near_edge = '{}' or far_edge = '{}'
           or cardinality(near_levels) + cardinality(far_levels) - 2 = p_hops then
            return;
        end if;
        if cardinality(near_edge) <= cardinality(far_edge) then
            near_edge := array(select s from ig.step(p_tenant, near_edge, p_direction, p_types) s except select unnest(near));
            near := near || near_edge;
            near_levels := near_levels || to_jsonb(near_edge);
        else
            far_edge := array(select s from ig.step(p_tenant, far_edge, back, p_types) s except select unnest(far));
            far := far || far_edge;
            far_levels := far_levels || to_jsonb(far_edge);
        end if;
    end loop;
    places := array[to_jsonb(met)];
    level := met;
    for n in reverse cardinality(near_levels) - 1 .. 1 loop
        level := array(select s from ig.step(p_tenant, level, back, p_types) s intersect select unnest(ig.ids(near_levels[n])));
        places := to_jsonb(level) || places;
    end loop;
    level := met;
    for n in reverse cardinality(far_levels) - 1 .. 1 loop
        level := array(select s from ig.step(p_tenant, level, p_direction, p_types) s intersect select unnest(ig.ids(far_levels[n])));
        places := places || to_jsonb(level);
    end loop;
    paths := jsonb_build_array(jsonb_build_object('entities', array[p_from], 'relationships', '{}'::text[]));
    for n in 2 .. cardinality(places) loop
        select jsonb_agg(jsonb_build_object('entities', x.entities, 'relationships', x.relationships)
                         order by x.entities, x.relationships)
        into paths from (
            select ig.ids(b -> 'entities') || r.neighbor as entities, ig.ids(b -> 'relationships') || r.id as relationships
            from jsonb_array_elements(paths) b,
                 lateral ig.between(p_tenant, b #>> '{entities,-1}', p_direction, p_types) r
            where r.neighbor in (select unnest(ig.ids(places[n])))
            order by 1, 2 limit p_max + 1) x;
    end loop;
    truncated := jsonb_array_length(paths) > p_max;
    if truncated then
        paths := paths - p_max;
    end if;
end $$;

revoke all on all routines in schema ig from public;
grant execute on function
    ig.stamp(timestamptz), ig.page_cursor(text, text), ig.heard(text), ig.tag(text), ig.runs(text), ig.words(text, text, jsonb), ig.cut(text), ig.without_accents(text), ig.word_query(text, text), ig.ids(jsonb), ig.step(text, text[], text, text[]),
    ig.reach(text, text[], int, text, text[], int), ig.among(text, text[], int[], int, text, text[]), ig.opposite(text),
    ig.paths(text, text, text, int, text, text[], int), ig.between(text, text, text, text[]),
    ig.small_bytes(), ig.page_bytes_max(), ig.answer_bytes_max(), ig.too_large(), ig.cut_unsaid(), ig.weigh(text), ig.weigh_object(text), ig.room(int, boolean),
    ig.put_on(int, text)
to ig_api;
