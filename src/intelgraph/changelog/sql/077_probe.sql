-- Does a write get through? The probe of a region's write path does what an append does, short of a row of a tenant's:
-- it locks the tables that an append writes as an append locks them, writes, and commits. One row, updated in place.

create table ig.write_probe (
    only_row boolean primary key default true check (only_row),
    probes bigint not null
) with (fillfactor = 10);
insert into ig.write_probe (probes) values (0);

create function ig.probe_write() returns bigint
language plpgsql security definer set search_path = '' set lock_timeout = '1s' as $$
declare
    told bigint;
begin
    lock table ig.change, ig.outcome, ig.entity, ig.relationship in row exclusive mode;
    update ig.write_probe set probes = probes + 1 returning probes into told;
    return told;
end $$;
