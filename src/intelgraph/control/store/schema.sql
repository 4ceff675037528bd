-- The control store in SQLite. `entry` keeps one row per key ever written; a deleted key stays as a row without value,
-- so that a watch can report the deletion. `revision` rises by one with every successful compare-and-set.
begin immediate;

create table if not exists entry (
    key      text primary key,
    value    blob,
    revision integer not null
) without rowid;

create index if not exists entry_by_revision on entry (revision);

create table if not exists store (
    one      integer primary key check (one = 1),
    revision integer not null
);

insert or ignore into store (one, revision) values (1, 0);

commit;
