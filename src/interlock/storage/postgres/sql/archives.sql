-- name: alone
-- Whether no other process lets rows of this schema go; holds them off until the connection ends.
SELECT pg_try_advisory_lock(hashtextextended(current_schema() || ' interlock retention', 0));

-- name: oldest
-- When the oldest raw rows of finished work began; NULL when there are none.
SELECT min(at_ns) FROM (
    (SELECT started_ns AS at_ns FROM calls WHERE NOT moved ORDER BY started_ns LIMIT 1)
    UNION ALL
    (SELECT created_ns FROM tasks WHERE status = 'finished' ORDER BY created_ns LIMIT 1)
) AS found;

-- name: cursors
-- How far every reader that must miss nothing has read.
SELECT place FROM cursors;

-- name: calls
-- Lone calls that began before a moment and which all readers have read, the oldest first.
SELECT task, seq, tenant, at_ns, place, event, coalesce(said, convert_to(content, 'UTF8')), xmin::text, started_ns FROM calls
WHERE NOT moved AND started_ns < %(before)s AND (era, xid, place) <= (%(era)s::int, %(xid)s::xid8, %(place)s::bigint)
ORDER BY started_ns, task LIMIT %(limit)s;

-- name: tasks
-- Finished tasks that nothing has happened to since a moment, the oldest first.
SELECT id, created_ns, xmin::text FROM tasks
WHERE status = 'finished' AND created_ns < %(before)s AND updated_ns < %(before)s ORDER BY created_ns, id LIMIT %(limit)s;

-- name: unread
-- Those of the given tasks that some reader has not read to the end.
SELECT DISTINCT task FROM events
WHERE task = ANY(%(tasks)s) AND (era, xid, place) > (%(era)s::int, %(xid)s::xid8, %(place)s::bigint);

-- name: events
-- The events of tasks as they leave.
SELECT task, seq, tenant, at_ns, place, event, coalesce(said, convert_to(content, 'UTF8')), xmin::text FROM events
WHERE task = ANY(%s) ORDER BY task, seq;

-- name: drop_calls
-- Lone calls that are still as they were read.
DELETE FROM calls USING unnest(%s::text[], %s::text[]) AS was(task, version)
WHERE calls.task = was.task AND calls.xmin::text = was.version AND NOT calls.moved;

-- name: drop_tasks
-- Tasks that are still as they were read.
DELETE FROM tasks USING unnest(%s::text[], %s::text[]) AS was(task, version)
WHERE tasks.id = was.task AND tasks.xmin::text = was.version;

-- name: drop_events
-- Events that are still as they were read.
DELETE FROM events USING unnest(%s::text[], %s::bigint[], %s::text[]) AS was(task, seq, version)
WHERE events.task = was.task AND events.seq = was.seq AND events.xmin::text = was.version;

-- name: drop_moved
-- That the tasks that leave were lone calls once.
DELETE FROM calls WHERE task = ANY(%s);

-- name: drop_signals
-- What was sent to the tasks that leave.
DELETE FROM signals WHERE task = ANY(%s);

-- name: add
-- What has left, and where to.
INSERT INTO archives (file, first_ns, last_ns, records, tasks, cost_nano_usd, simulated_nano_usd, at_ns)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s);

-- name: list
-- Everything that has left, the oldest first.
SELECT file, first_ns, last_ns, records, tasks, cost_nano_usd, simulated_nano_usd, at_ns FROM archives ORDER BY id;

-- name: totals
-- The ledger's sums, from what has left.
SELECT coalesce(sum(cost_nano_usd), 0)::bigint, coalesce(sum(simulated_nano_usd), 0)::bigint FROM archives;

-- name: said_calls
-- Lone calls in which something is kept of what was said before a moment.
SELECT ctid::text, coalesce(said, convert_to(content, 'UTF8')) FROM calls
WHERE (said IS NOT NULL OR content IS NOT NULL) AND started_ns < %s ORDER BY started_ns LIMIT %s FOR UPDATE;

-- name: said_events
-- Events likewise, of tasks that are over and that nothing has happened to since a moment.
SELECT e.ctid::text, coalesce(e.said, convert_to(e.content, 'UTF8')) FROM events AS e JOIN tasks AS t ON t.id = e.task
WHERE (e.said IS NOT NULL OR e.content IS NOT NULL) AND t.status = 'finished' AND t.updated_ns < %s
ORDER BY e.at_ns LIMIT %s FOR UPDATE OF e;

-- name: forget_calls
-- Forgets what was said in these calls.
UPDATE calls SET said = NULL, content = NULL WHERE ctid = ANY(%s::tid[]);

-- name: forget_events
-- Forgets what was said in these events.
UPDATE events SET said = NULL, content = NULL WHERE ctid = ANY(%s::tid[]);

-- name: old_calls
-- Calls whose contents are kept as they were before there were bodies.
SELECT ctid::text, tenant, content FROM calls WHERE content IS NOT NULL ORDER BY place LIMIT %s FOR UPDATE;

-- name: old_events
-- Events likewise.
SELECT ctid::text, tenant, content FROM events WHERE content IS NOT NULL ORDER BY place LIMIT %s FOR UPDATE;

-- name: pack_calls
-- Keeps a call's content otherwise.
UPDATE calls SET said = %s, content = NULL WHERE ctid = %s::tid;

-- name: pack_events
-- Keeps an event's content otherwise.
UPDATE events SET said = %s, content = NULL WHERE ctid = %s::tid;

-- name: used
-- About how many bytes the rows take, indexes included: a sample of 16 MB of each table, drawn up to its whole.
SELECT (
    coalesce((SELECT sum(octet_length(event) + coalesce(octet_length(said), 0) + coalesce(octet_length(content), 0) + 500)
        FROM calls TABLESAMPLE SYSTEM (least(100, 1677721600.0 / greatest(pg_relation_size('calls'), 1))))
        / least(1, 16777216.0 / greatest(pg_relation_size('calls'), 1)), 0)
    + coalesce((SELECT sum(octet_length(event) + coalesce(octet_length(said), 0) + coalesce(octet_length(content), 0) + 300)
        FROM events TABLESAMPLE SYSTEM (least(100, 1677721600.0 / greatest(pg_relation_size('events'), 1))))
        / least(1, 16777216.0 / greatest(pg_relation_size('events'), 1)), 0)
    + coalesce((SELECT sum(octet_length(body) + 100)
        FROM bodies TABLESAMPLE SYSTEM (least(100, 1677721600.0 / greatest(pg_relation_size('bodies'), 1))))
        / least(1, 16777216.0 / greatest(pg_relation_size('bodies'), 1)), 0)
    + coalesce((SELECT count(*) * 700
        FROM tasks TABLESAMPLE SYSTEM (least(100, 1677721600.0 / greatest(pg_relation_size('tasks'), 1))))
        / least(1, 16777216.0 / greatest(pg_relation_size('tasks'), 1)), 0)
    + pg_total_relation_size('roll') + pg_total_relation_size('outcomes') + pg_total_relation_size('meters')
)::bigint;
