-- Sizes in bytes: how large a row may be as it is stored and sent, how much one answer may hold, and how large the largest
-- object of each tenant is. All sizes are those of the JSON text that PostgreSQL writes: `1e63` has 64 bytes.

-- The largest row of the log. Twice what a request's body may have, less than what a process of replication can bear.
create function ig.row_bytes_max() returns int language sql immutable parallel safe return 12582912;
-- Where a page, or a batch of a stream, ends. It has one item at least, however large that is.
create function ig.page_bytes_max() returns int language sql immutable parallel safe return 4194304;
-- What is made for one answer in all: more is refused (`ig.too_large`).
create function ig.answer_bytes_max() returns int language sql immutable parallel safe return 16777216;

-- From above, as a power of two, how large any form of any object of a tenant is that this database ever held, and of any
-- of a placement's tenants. It only rises, so that few writes touch it. Tenants whose objects are all small have no row,
-- and a write of a small one looks for none. Whoever raises it has a lock of the placement: a transaction may raise it for
-- several tenants, in any order.
create function ig.small_bytes() returns int language sql immutable parallel safe return 2048;
create table ig.largest (
    tenant text primary key,
    bytes int not null
);
alter table ig.placement add column largest int not null default ig.small_bytes();
create function ig.note_largest(p_placement text, p_tenant text, p_bytes int) returns void language plpgsql as $$
declare
    rounded int;
begin
    if p_bytes > ig.small_bytes() and not exists (select from ig.largest l where l.tenant = p_tenant and l.bytes >= p_bytes) then
        perform pg_advisory_xact_lock(3, hashtext(p_placement));
        rounded := 2 ^ ceil(log(2.0, p_bytes));
        insert into ig.largest as l (tenant, bytes) values (p_tenant, rounded)
        on conflict (tenant) do update set bytes = excluded.bytes where l.bytes < excluded.bytes;
        update ig.placement set largest = rounded where id = p_placement and largest < rounded;
    end if;
end $$;
-- A placement whose rows came before its first open.
create function ig.begin_largest() returns trigger language plpgsql set search_path = '' as $$
begin
    new.largest := greatest(new.largest, (select max(l.bytes) from ig.largest l));
    return new;
end $$;
create trigger largest before insert on ig.placement for each row execute function ig.begin_largest();
alter table ig.placement enable always trigger largest;

-- The size of the largest of some objects; when they are small together, of all of them.
create function ig.largest_of(p_objects jsonb, p_bytes int) returns int language sql immutable parallel safe
    return case when p_bytes <= ig.small_bytes() or jsonb_array_length(p_objects) = 1 then p_bytes
           else (select max(octet_length(o::text)) from jsonb_array_elements(p_objects) o) end;

-- What an answer weighs, while it is made. `ig.weigh` counts a text that becomes part of it and hands it on; `ig.room`
-- tells whether a page may have another item, `ig.put_on` counts one. A page's count begins anew with its first item.
create function ig.too_large() returns text language plpgsql as $$
begin
    raise exception using errcode = 'IG413', message = 'the answer is too large';
end $$;
-- A list that ends before its time, in an answer that has no member to say so.
create function ig.cut_unsaid() returns text language plpgsql as $$
begin
    raise exception using errcode = 'IG414', message = 'the list would be cut and nothing would say so';
end $$;
create function ig.weigh(p_text text) returns text language plpgsql as $$
declare
    weight bigint := coalesce(nullif(current_setting('ig.weight', true), ''), '0')::bigint + octet_length(p_text);
begin
    if weight > ig.answer_bytes_max() then
        return ig.too_large();
    end if;
    perform set_config('ig.weight', weight::text, true);
    return p_text;
end $$;
-- The same of a whole object, whose large fields were counted by themselves: twice as much, since an object may be put
-- into another.
create function ig.weigh_object(p_text text) returns text language plpgsql as $$
declare
    weight bigint := coalesce(nullif(current_setting('ig.objects_weight', true), ''), '0')::bigint + octet_length(p_text);
begin
    if weight > 2 * ig.answer_bytes_max() then
        return ig.too_large();
    end if;
    perform set_config('ig.objects_weight', weight::text, true);
    return p_text;
end $$;
create function ig.room(p_page int, p_is_first boolean) returns boolean language plpgsql as $$
begin
    if p_is_first then
        perform set_config('ig.page_' || p_page, '0', true);
    end if;
    return current_setting('ig.page_' || p_page)::bigint < ig.page_bytes_max();
end $$;
create function ig.put_on(p_page int, p_text text) returns text language plpgsql as $$
begin
    perform set_config('ig.page_' || p_page, (current_setting('ig.page_' || p_page)::bigint + octet_length(p_text))::text, true);
    return p_text;
end $$;
