-- What the compared servers read and write: the same tables, of the one tenant, without what was deleted.
-- The views carry the tenant as a constant, which costs their readers nothing; row-level security does not apply to
-- this role. They write through the log as IntelGraph does, by `ig.append`. `written` is for a further figure: an
-- ordinary table with the columns and the indexes of ig.entity, and no log.

create schema bench;
create role bench_peer login bypassrls password :password;
grant connect on database intelgraph to bench_peer;
grant usage on schema ig, bench to bench_peer;
grant select on ig.entity, ig.relationship to bench_peer;
grant execute on function ig.word_query(text, text), ig.tag(text), ig.words(text, text, jsonb) to bench_peer;

create view bench.entity as
    select id, type, name, confidence, properties from ig.entity where tenant = 'bench' and not deleted;
create view bench.relationship as
    select id, type, source, target, confidence from ig.relationship where tenant = 'bench' and not deleted;
comment on view bench.entity is E'@primaryKey id';
comment on view bench.relationship is
    E'@primaryKey id\n'
    '@foreignKey (source) references entity (id)|@fieldName origin|@foreignFieldName edges\n'
    '@foreignKey (target) references entity (id)|@fieldName neighbor|@foreignFieldName incoming';

create function bench.search(words text) returns setof bench.entity language sql stable as $$
    select id, type, name, confidence, properties from ig.entity
    where tenant = 'bench' and not deleted and ig.entity.words @@ ig.word_query('bench', $1) order by id
$$;

-- One entity, appended to the log: PostGraphile finds a function where Apollo's resolver sends the statement itself.
create function bench.append_entity(key text, id text, type text, name text, confidence int, properties jsonb) returns bigint
language plpgsql volatile as $$
declare
    operations jsonb := jsonb_build_array(jsonb_build_object('op', 'upsert_entity', 'entity', jsonb_build_object(
        'id', id, 'type', type, 'name', name, 'confidence', confidence, 'properties', properties)));
    answer jsonb := ig.append('bench', 1, 'bench', key, sha256(convert_to(operations::text, 'UTF8')), operations);
begin
    if answer ->> 'status' = 'refused' then
        raise exception '%', answer ->> 'reason';
    end if;
    return answer #>> '{objects,0,revision}';
end $$;

create table bench.written (like ig.entity including all);
create function bench.upsert_entity(id text, type text, name text, confidence int, properties jsonb) returns bigint
language sql volatile as $$
    insert into bench.written as w (tenant, id, placement, type, name, confidence, properties, sources, created, updated,
                                    revision, deleted, epoch, position)
    values ('bench', $1, 'bench', $2, $3, $4, $5, '{}', now(), now(), 1, false, 1, 1)
    on conflict (tenant, id) do update set
        type = excluded.type, name = excluded.name, confidence = excluded.confidence, properties = excluded.properties,
        updated = excluded.updated, revision = w.revision + 1
    returning w.revision
$$;
comment on table bench.written is E'@behavior -*';
grant select on all tables in schema bench to bench_peer;
grant insert, update on bench.written to bench_peer;
grant execute on all functions in schema bench to bench_peer;
grant execute on function ig.append(text, bigint, text, text, bytea, jsonb) to bench_peer;
