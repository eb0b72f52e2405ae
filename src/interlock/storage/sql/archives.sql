-- name: oldest
-- When the oldest raw rows of finished work began; NULL when there are none.
SELECT MIN(at_ns) FROM (
    SELECT MIN(last_ns) AS at_ns FROM segments
    UNION ALL
    SELECT at_ns FROM (SELECT created_ns AS at_ns FROM tasks WHERE status = 'finished' ORDER BY created_ns LIMIT 1)
);

-- name: read_by_all
-- The place up to which every reader that must miss nothing has read; NULL without readers.
SELECT MIN(CAST(place AS INTEGER)) FROM cursors;

-- name: segments
-- Segments whose calls began before a moment and which all readers have read, the oldest first.
SELECT id, tenant, workflow, first_ns, last_ns, n, cost_nano_usd, simulated_nano_usd, calls, contents FROM segments
WHERE last_ns < :before AND id + n <= :read ORDER BY last_ns, id LIMIT :limit;

-- name: tasks
-- Finished tasks that nothing has happened to since a moment, the oldest first.
SELECT id, created_ns, updated_ns, events, cost_nano_usd, simulated_nano_usd FROM tasks
WHERE status = 'finished' AND created_ns < :before AND updated_ns < :before ORDER BY created_ns, id LIMIT :limit;

-- name: events
-- The events of a task as they leave.
SELECT place, task, seq, at_ns, tenant, event, content FROM events WHERE task = ? ORDER BY seq;

-- name: said_of
-- What was said in the events of tasks (a JSON list of ids), by place, as it rests.
SELECT place, content FROM events WHERE task IN (SELECT value FROM json_each(?));

-- name: drop_segment
-- A segment that is still as it was read.
DELETE FROM segments WHERE id = ? AND calls = ? AND contents IS ?;

-- name: drop_task
-- A task that is still as it was read.
DELETE FROM tasks WHERE id = ? AND status = 'finished' AND events = ? AND updated_ns = ?;

-- name: drop_events
-- Events of tasks (a JSON list of ids) that leave.
DELETE FROM events WHERE task IN (SELECT value FROM json_each(?));

-- name: drop_lone
-- The tasks (a JSON list of ids) that leave, in the index of lone calls.
DELETE FROM lone WHERE task IN (SELECT value FROM json_each(?));

-- name: drop_signals
-- What was sent to the tasks (a JSON list of ids) that leave.
DELETE FROM signals WHERE task IN (SELECT value FROM json_each(?));

-- name: add
-- What has left, and where to.
INSERT INTO archives (file, first_ns, last_ns, records, tasks, cost_nano_usd, simulated_nano_usd, at_ns)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: list
-- Everything that has left, the oldest first.
SELECT file, first_ns, last_ns, records, tasks, cost_nano_usd, simulated_nano_usd, at_ns FROM archives ORDER BY id;

-- name: totals
-- The ledger's sums, from what has left.
SELECT COALESCE(SUM(cost_nano_usd), 0), COALESCE(SUM(simulated_nano_usd), 0) FROM archives;

-- name: said_segments
-- Segments in which something is kept of what was said before a moment.
SELECT id, contents FROM segments WHERE contents IS NOT NULL AND last_ns < :before LIMIT :most;

-- name: said_events
-- Events likewise, of tasks that are over and that nothing has happened to since a moment.
SELECT e.place, e.content FROM tasks AS t JOIN events AS e ON e.task = t.id
WHERE t.status = 'finished' AND t.said = 1 AND t.created_ns < :before AND t.updated_ns < :before AND e.content IS NOT NULL LIMIT :most;

-- name: unsaid_tasks
-- Notes of such tasks that nothing is kept in them any more.
UPDATE tasks SET said = 0 WHERE id IN (
    SELECT t.id FROM tasks AS t WHERE t.status = 'finished' AND t.said = 1 AND t.created_ns < :before AND t.updated_ns < :before
    AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.task = t.id AND e.content IS NOT NULL) LIMIT :most
);

-- name: forget_segments
-- Forgets what was said in a segment.
UPDATE segments SET contents = NULL WHERE id = ?;

-- name: forget_events
-- Forgets what was said in an event.
UPDATE events SET content = NULL WHERE place = ?;

-- name: old_segments
-- Segments whose contents are kept as they were before there were bodies.
SELECT id, tenant, contents FROM segments WHERE typeof(contents) = 'text' LIMIT ?;

-- name: old_events
-- Events likewise.
SELECT place, tenant, content FROM events WHERE typeof(content) = 'text' LIMIT ?;

-- name: pack_segment
-- Keeps a segment's contents otherwise.
UPDATE segments SET contents = ? WHERE id = ?;

-- name: pack_event
-- Keeps an event's content otherwise.
UPDATE events SET content = ? WHERE place = ?;

-- name: used
-- Bytes of the file that hold something.
SELECT (page_count - freelist_count) * page_size FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size();
