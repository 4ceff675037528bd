-- The index of one file being imported: a temporary database, gone with the import. It holds ids and times, no content.
-- What it is for: telling duplicates and dangling references in bounded memory.

create table object (
    kind text not null,
    id text not null,
    modified text not null,
    line integer not null,       -- where its newest form is among the lines of its kind
    position integer not null,   -- where that form is in the file
    refused integer not null default 0,
    primary key (kind, id)
) without rowid;

-- Lines that a newer form further down has replaced.
create table replaced (
    kind text not null,
    line integer not null,
    primary key (kind, line)
) without rowid;

-- Every id that a relationship of the file ends in.
create table endpoint (
    id text primary key,
    absent integer not null default 0   -- neither in the file nor in the tenant
) without rowid;
