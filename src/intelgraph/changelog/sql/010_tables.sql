-- The log and what is derived from it. The laws are in docs/log.md; each object below names the one it holds.

create schema ig;

-- Which region this database is, and which of its lives. A restored or recreated database takes a new life, so that a
-- position is never given out twice under one identity.
create table ig.region (
    only_row boolean primary key default true check (only_row),
    name text not null,
    life int not null check (life > 0),
    reads int not null default 1,        -- highest operation version this region can apply
    schema_digest text not null          -- of the files that made this schema
);

create sequence ig.position;             -- drawn only after every lock of an append is held
create sequence ig.arrival;              -- local order of arrival within one transaction

-- Other regions as this one knows them. `sent` numbers the marks sent there; `got` is the last number heard from there.
create table ig.peer (
    name text primary key,
    reads int not null default 1,
    sent bigint not null default 0,
    got bigint,
    token_ns bigint,                     -- newest of our echo tokens that came back through the peer's log
    heard_at timestamptz,
    missed_at timestamptz,               -- when marks of it were last found missing
    stands_ms bigint not null default 0, -- for how long its own settled position stood when it said so last
    slots_made int not null default 0,   -- slots for it that were made here; beyond the first, rows may have gone by
    slot_made_at timestamptz,
    slot_from pg_lsn,                    -- what was written up to here and had not been delivered is not in its stream
    has_life int,                        -- up to where it was last known to have our stream (our agent notes it)
    has_position bigint
) with (fillfactor = 20);

-- Identity: (origin, life, position) is the only unique key, and repeats are dropped before it can be violated.
create table ig.change (
    origin text not null,
    life int not null,
    position bigint not null,
    placement text not null,
    epoch bigint not null,
    version int not null,
    kind text not null,
    tenant text,
    key_hash bytea,
    request_hash bytea,
    replicate_to text[] not null,
    touches bigint[] not null default '{}',
    body jsonb,
    digest bytea not null,
    written_at timestamptz not null,
    -- local to each region, set by the trigger, never replicated:
    arrived xid8,
    arrival bigint,
    status text,
    primary key (origin, life, position)
);
-- Order of arrival: every row with arrived < the oldest running transaction is final (the feed's cursor).
create index change_arrival on ig.change (arrived, arrival);
-- What waits to be put into it is read by every look-up and cleared by one unlucky writer: little may wait.
create index change_touches on ig.change using gin (touches) with (gin_pending_list_limit = 256);
create index change_tenant on ig.change (tenant, epoch, position) where kind = 'write';
create index change_waiting on ig.change (placement, arrived, arrival) where status in ('inert', 'held', 'dropped');
-- Rows beyond a cut by their rank: salvage goes through them page by page.
create index change_inert on ig.change (placement, epoch, position, origin, life) where status = 'inert' and kind = 'write';
create index change_control on ig.change (placement, epoch, position) where kind <> 'write';

-- Epochs as told by `open` rows. Acceptance: see ig.recompute_force and ig.inside_cuts.
create table ig.epoch (
    placement text not null,
    epoch bigint not null,
    origin text not null,
    life int not null,
    position bigint not null,
    home text not null,
    standby text,
    regions text[] not null,
    durability text not null,
    digest_key bytea not null,
    in_force boolean not null,
    primary key (placement, epoch, origin, life, position)
);
create table ig.cut (
    placement text not null,
    epoch bigint not null,
    by_origin text not null,
    by_life int not null,
    by_position bigint not null,
    origin text not null,
    life int not null,
    held int8multirange not null,
    primary key (placement, epoch, by_origin, by_life, by_position, origin, life)
);

-- What this region believes of a placement now: the highest `open` in force, a hold, a gap.
create table ig.placement (
    id text primary key,
    epoch bigint not null,
    origin text not null,
    life int not null,
    home text not null,
    standby text,
    regions text[] not null,
    durability text not null,
    digest_key bytea not null,
    hold text,                           -- why rows of it are kept but not applied
    gap text,                            -- why rows of it may be missing
    holes boolean not null default false, -- rows were lost that do not count while this region is home: no prefix is whole
    whole_epoch bigint not null default 0 -- up to which epoch a comparison with the home found every cut held here
);

-- Writing has been ended here in this epoch of the placement; a later epoch is not closed by it. Local, never replicated.
create table ig.closing (
    placement text primary key,
    epoch bigint not null,
    life int not null,
    position bigint not null             -- nothing of the epoch comes after it
);

-- Verdicts of `adopt` and `reject` rows on rows beyond a cut.
create table ig.decision (
    placement text not null,
    origin text not null,
    life int not null,
    position bigint not null,
    by_epoch bigint not null,
    by_origin text not null,
    by_life int not null,
    by_position bigint not null,
    adopt boolean not null,
    reason text not null,
    primary key (placement, origin, life, position, by_epoch, by_origin, by_life, by_position)
);
create index decision_by on ig.decision (by_origin, by_life, by_position);

-- State: one row per object, with the rank (epoch, position) of the accepted row it comes from. Deleted ones stay as tombstones.
create table ig.entity (
    deleted boolean not null,            -- looked at in every row that is found: what comes later takes longer to reach
    tenant text not null,
    id text not null,
    type text,
    name text,
    confidence smallint,
    placement text not null,
    revision bigint not null,
    epoch bigint not null,
    position bigint not null,
    created timestamptz,
    updated timestamptz,
    valid_from timestamptz,
    valid_until timestamptz,
    sources text[],
    properties jsonb,
    words tsvector,
    primary key (tenant, id)
) with (fillfactor = 90);

create table ig.relationship (
    deleted boolean not null,
    tenant text not null,
    id text not null,
    source text,
    target text,
    type text,
    confidence smallint,
    placement text not null,
    revision bigint not null,
    epoch bigint not null,
    position bigint not null,
    created timestamptz,
    updated timestamptz,
    valid_from timestamptz,
    valid_until timestamptz,
    sources text[],
    properties jsonb,
    primary key (tenant, id)
) with (fillfactor = 90);
-- A step of a search, and a page of edges in brief, read the index alone. An entry has 2,704 bytes at most: `ig.has_shape` bounds what goes into it.
create index relationship_source on ig.relationship (tenant, source, id) include (target, type, confidence) where not deleted;
create index relationship_target on ig.relationship (tenant, target, id) include (source, type, confidence) where not deleted;

-- Erasure is for ever and not subject to acceptance. Only a hash of (tenant, kind, id) is kept.
create table ig.erased (
    tenant text not null,
    touch bigint not null,
    primary key (tenant, touch)
);

-- Every row that carried an idempotency key. Which of them answers a repeat is decided when asked.
create table ig.outcome (
    tenant text not null,
    key_hash bytea not null,
    origin text not null,
    life int not null,
    position bigint not null,
    placement text not null,
    epoch bigint not null,
    request_hash bytea not null,
    primary key (tenant, key_hash, origin, life, position)
);

-- Compaction: the objects of a deleted prefix of the log, and how far the prefix reaches.
create table ig.snapshot (
    placement text not null,
    tenant text not null,
    kind text not null,
    id text not null,
    epoch bigint not null,
    position bigint not null,
    object jsonb not null,
    primary key (tenant, kind, id)
);
create index snapshot_rank on ig.snapshot (placement, tenant, epoch, position);
create table ig.compacted (
    placement text not null,
    origin text not null,
    life int not null,
    position bigint not null,
    primary key (placement, origin, life)
);

-- The highest position of an origin below which nothing of it is in flight any more, as far as this region has heard.
create table ig.settled (
    origin text not null,
    life int not null,
    position bigint not null,
    primary key (origin, life)
) with (fillfactor = 20);
-- For our own: every position up to `candidate` was drawn by a transaction older than `horizon`.
create table ig.settling (
    only_row boolean primary key default true check (only_row),
    candidate bigint not null,
    horizon xid8 not null,
    since timestamptz not null
) with (fillfactor = 20);

-- Running digests per bucket of 4,096 positions, up to the tally's cursor in order of arrival.
create table ig.digest (
    placement text not null,
    origin text not null,
    life int not null,
    bucket bigint not null,
    rows bigint not null,
    sum numeric(20) not null,
    primary key (placement, origin, life, bucket)
) with (fillfactor = 50);
-- How far each reader of the log has come in order of arrival: the tally of digests, and the subscribers of the feed.
create table ig.cursor (
    subscriber text primary key,
    arrived xid8 not null,
    arrival bigint not null,
    moved_at timestamptz not null default now(),
    rebuilding boolean not null default false, -- it is given the state in pages before it follows the log
    page_after text[],                   -- the last object it took of them: kind, tenant, id; empty: it took none; null: not begun
    failing_since timestamptz,
    reason text                          -- why it fails
) with (fillfactor = 20);
insert into ig.cursor (subscriber, arrived, arrival) values ('digest', '0', 0);
-- Rows whose status changed after they had arrived: each is handed to subscribers again, at this place.
create table ig.again (
    arrived xid8 not null,
    arrival bigint not null,
    origin text not null,
    life int not null,
    position bigint not null,
    primary key (arrived, arrival)
);
-- Nothing below this place of the log can be read whole any more: rows of it were compacted, or state came that no row tells.
create table ig.feed_floor (
    only_row boolean primary key default true check (only_row),
    arrived xid8 not null default '0',
    arrival bigint not null default 0
) with (fillfactor = 20);
insert into ig.feed_floor default values;

-- Short-lived facts between regions, some 40 a second: inserted and deleted in one transaction, so that only the replication stream sees them.
create table ig.signal (
    origin text not null,
    destination text not null,
    kind text not null,
    body jsonb not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, vacuum_truncate = off);

-- What a trigger could not do; it never raises in the stream.
create table ig.trouble (
    at timestamptz not null default now(),
    what text not null,
    placement text,
    origin text,
    life int,
    position bigint,
    sqlstate text
);
