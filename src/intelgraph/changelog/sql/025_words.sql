-- What of an entity is searched, and how a text is cut into what is looked up. Each write pays for it in both regions, so
-- that fewer and cheaper expressions count here.

-- A tenant in four characters, which stand before each of its words: a search looks up words of one tenant (or of few),
-- and nothing else of the tenant. Who has the same four finds nothing more: the tenant itself is compared as well.
create function ig.tag(p_tenant text) returns text language sql immutable parallel safe
    return substr(encode(int8send(hashtextextended(p_tenant, 0)), 'base64'), 1, 4);

-- A text without accents; what has none, and is in ASCII alone, is left as it is.
create function ig.without_accents(p_text text) returns text language sql immutable parallel safe
    return case when octet_length(p_text) = char_length(p_text) then p_text
           else regexp_replace(normalize(p_text, nfkd), '[\u0300-\u036f]+', '', 'g') end;

-- A text's runs of letters or of digits, with case folded (ß is ss). A space stands where white space stood between two runs; a hyphen
-- where anything else did, or where a letter and a digit meet. So APT-28, apt_28 and APT28 are the same two runs joined,
-- and `APT 28` is the same two runs apart. Letters are those of Unicode in every region (`pg_unicode_fast`), whatever the
-- database's own locale is. Where U+0001 stands it stays: it divides two texts that are cut at once.
create function ig.cut(p_text text) returns text language sql immutable parallel safe
    return regexp_replace(regexp_replace(regexp_replace(casefold(p_text collate pg_unicode_fast),
               '(?<=[[:alpha:]])(?=[[:digit:]])|(?<=[[:digit:]])(?=[[:alpha:]])', '-', 'g'),
               '[^[:alnum:]\s\x01]+', '-', 'g'),
               '[\s-]{2,}|(?! )\s', ' ', 'g');
create function ig.runs(p_text text) returns text language sql immutable parallel safe
    return btrim(ig.cut(ig.without_accents(replace(p_text, e'\x01', '-'))), ' -');

-- The words of an entity: every run of its name and its description and, where runs are joined (those of a name all are),
-- each run with the next one behind a hyphen, and from each run three to eight of them behind two hyphens. Two have lexemes of
-- their own because most identifiers begin so (APT28, CVE-2021): a search reads one entry of the index, not one for each
-- way to go on. A text search vector has 1 MB at most: more is not searched. A lexeme
-- has 2,046 bytes at most with its tag, so that of a larger text 500 characters are left of each. It has no search path of
-- its own, which would cost each write 4 microseconds: all who write have an empty one. Runs are taken 256 at a time, and
-- the seven behind them: a slice costs as much as the array is long, and the largest texts have tens of thousands.
create function ig.words(p_tenant text, p_name text, p_properties jsonb) returns tsvector
language plpgsql immutable parallel safe as $$
declare
    given text := concat(replace(left(p_name, 10000), e'\x01', '-'), e'\x01',
                         replace(left(p_properties ->> 'description', 40000), e'\x01', '-'));
    pieces text := ig.cut(ig.without_accents(given));
    tag text := ig.tag(p_tenant);
    words text := replace(replace(replace(pieces, ' ', e'\n'), '-', e'\n'), e'\x01', e'\n');
    stretches text[] := array[replace(btrim(split_part(pieces, e'\x01', 1), ' -'), ' ', '-')];
    stretch text;
    runs text[];
    part text[];
    joined text[] := '{}';
begin
    if strpos(pieces, '-') > 0 then
        stretches := stretches || array(
            select m[1] from regexp_matches(split_part(pieces, e'\x01', 2), '[^ -]+(?:-[^ -]+)+', 'g') m);
    end if;
    foreach stretch in array stretches loop
        runs := string_to_array(stretch, '-');
        for chunk in 0 .. (cardinality(runs) - 2) / 256 loop
            part := case when cardinality(runs) <= 263 then runs else runs[chunk * 256 + 1:chunk * 256 + 263] end;
            for n in 1 .. least(256, cardinality(part) - 1) loop
                joined := joined || ('-' || array_to_string(part[n:n + 1], '-'));
                if n + 1 < cardinality(part) then
                    joined := joined || ('--' || array_to_string(part[n:n + 7], '-'));
                end if;
            end loop;
        end loop;
    end loop;
    words := concat(words, e'\n', array_to_string(joined, e'\n'));
    if octet_length(words) > 1000 then
        words := array_to_string(array(
            select w from (select left(w, 500) as w, sum(octet_length(left(w, 500)) + 4) over (order by n) as bytes
                           from unnest(string_to_array(words, e'\n')) with ordinality u(w, n)) b
            where bytes < 1000000), e'\n');
    end if;
    return array_to_tsvector(array_remove(string_to_array(tag || replace(words, e'\n', e'\n' || tag), e'\n'), tag));
end $$;
