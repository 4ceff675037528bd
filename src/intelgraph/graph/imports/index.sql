-- The index of one file being imported: a temporary database, gone with the import. It holds ids, times and hashes, no
-- content. What it is for: telling what occurs twice and what dangles, in bounded memory.

create table object (
    kind text not null,
    id text not null,
    modified text not null,      -- orders as text, to the last digit that was written
    content blob not null,       -- hash of what the form says
    exact blob not null,         -- hash of the form as it will be sent
    line integer not null,       -- where the taken form is among the lines of its kind
    position integer not null,   -- where that form is in the file
    refused integer not null default 0,
    primary key (kind, id)
) without rowid;

-- The forms that are not taken, of ids that have several.
create table other (
    kind text not null,
    id text not null,
    modified text not null,
    content blob not null,
    position integer not null
);

-- Lines that were spooled before a form that counts more was found.
create table replaced (
    kind text not null,
    line integer not null,
    primary key (kind, line)
) without rowid;

-- Every id that a relationship of the file ends in.
create table endpoint (
    id text primary key,
    absent text   -- why it cannot be an end; null: it can
) without rowid;
