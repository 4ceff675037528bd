-- A large tenant, written straight into the state tables: the log is not what is measured. The same on every run.
-- $tenant, $placement, $entities and $relationships are put in by whoever reads this file.
-- Nine entities of ten are one component whose ends follow a power law, with three hubs that a twentieth of all
-- relationships begin at; the others are a component of their own. Words come as rarely as in a language; "blob" is
-- incompressible.
select setseed(0.5);
insert into ig.entity (tenant, id, placement, type, name, properties, confidence, sources, created, updated, revision,
                       deleted, epoch, position)
select '$tenant', 'e' || n, '$placement', (array['malware', 'tool', 'campaign', 'identity', 'report'])[1 + n % 5],
       'Entity ' || n || ' common word' || floor(20000 * power(random(), 4)),
       jsonb_build_object('level', n % 10, 'owner', 'owner' || n % 5000, 'description',
           (select string_agg('word' || floor(20000 * power(random(), 4)), ' ') from generate_series(1, 12 + n % 5)),
           'blob', encode(sha512(('seed' || n)::bytea), 'base64')),
       n % 101, '{bench}', timestamptz '2024-01-01' + n * interval '7 minutes',
       timestamptz '2026-01-01' + n * interval '11 seconds', 1, false, 1, 1
from generate_series(0, $entities - 1) n;
insert into ig.relationship (tenant, id, placement, type, source, target, properties, sources, created, updated,
                             revision, deleted, epoch, position)
select '$tenant', 'r' || n, '$placement', (array['uses', 'targets', 'related-to'])[1 + n % 3], 'e' || source,
       'e' || target, '{}', '{}', timestamptz '2024-01-01', timestamptz '2026-01-01', 1, false, 1, 1
from (select n,
             case when n % 20 = 0 then n / 20 % 3
                  when n % 10 = 1 then $entities * 9 / 10 + floor(random() * $entities / 10)
                  else floor($entities * 0.9 * power(random(), 1.5)) end::int as source,
             case when n % 10 = 1 then $entities * 9 / 10 + floor(random() * $entities / 10)
                  else floor($entities * 0.9 * power(random(), 1.5)) end::int as target
      from generate_series(0, $relationships - 1) n) made;
vacuum analyze ig.entity;
vacuum analyze ig.relationship;
