-- name: read
-- Records after a place, in the order of their places, as far as no transaction that is still open may put any before them.
SELECT * FROM (
    (SELECT era, xid::text, place, task, seq, at_ns, tenant, event, coalesce(said, convert_to(content, 'UTF8')), xid AS ordered
     FROM events
     WHERE (era, xid, place) > (%(era)s::int, %(xid)s::xid8, %(place)s::bigint)
       AND (era < %(now)s::int OR xid < pg_snapshot_xmin(pg_current_snapshot()))
     ORDER BY era, events.xid, place LIMIT %(limit)s)
    UNION ALL
    (SELECT era, xid::text, place, task, seq, at_ns, tenant, event, coalesce(said, convert_to(content, 'UTF8')), xid FROM calls
     WHERE (era, xid, place) > (%(era)s::int, %(xid)s::xid8, %(place)s::bigint) AND NOT moved
       AND (era < %(now)s::int OR xid < pg_snapshot_xmin(pg_current_snapshot()))
     ORDER BY era, calls.xid, place LIMIT %(limit)s)
) AS found ORDER BY era, ordered, place LIMIT %(limit)s;

-- name: end
-- The last transaction before the oldest that is still open.
SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::numeric - 1)::text;

-- name: behind
-- How many rows lie after a place, counted up to a bound.
SELECT count(*) FROM (
    (SELECT 1 FROM events WHERE (era, xid, place) > (%(era)s::int, %(xid)s::xid8, %(place)s::bigint) LIMIT %(most)s)
    UNION ALL
    (SELECT 1 FROM calls WHERE (era, xid, place) > (%(era)s::int, %(xid)s::xid8, %(place)s::bigint) AND NOT moved LIMIT %(most)s)
) AS found;

-- name: kept
-- How far a reader has got.
SELECT place FROM cursors WHERE reader = %s;

-- name: begin
-- A reader that has kept no place yet.
INSERT INTO cursors (reader, place) VALUES (%s, %s) ON CONFLICT (reader) DO NOTHING;

-- name: move
-- A reader goes on, if it stands where it was.
UPDATE cursors SET place = %s WHERE reader = %s AND place = %s;
