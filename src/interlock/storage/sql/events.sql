-- name: insert
-- One event at its place; a place that is taken is an error.
INSERT INTO events (
    task, seq, at_ns, tenant, type, event, content, lone,
    workflow, tier, status, started_ns, duration_us, escalations, simulated, cost_nano_usd, simulated_nano_usd
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: lone
-- The calls among the given tasks (a JSON list of ids) that are tasks of their own so far.
SELECT task, seq, tenant, at_ns, event FROM events
WHERE task IN (SELECT value FROM json_each(?)) AND lone = 1;

-- name: not_lone
-- The call's task has got a row of its own.
UPDATE events SET lone = 0 WHERE task = ? AND lone = 1;

-- name: at
-- What stands at one place.
SELECT event FROM events WHERE task = ? AND seq = ?;

-- name: of_task
-- A task's log in order, after a given place.
SELECT task, seq, at_ns, tenant, event, content FROM events WHERE task = ? AND seq > ? ORDER BY seq;

-- name: contents
-- The sensitive part of a task's log.
SELECT seq, content FROM events WHERE task = ? AND content IS NOT NULL;

-- name: set_content
-- Replaces the sensitive part of one event.
UPDATE events SET content = ? WHERE task = ? AND seq = ?;

-- name: totals
-- The ledger's sums, from the events themselves.
SELECT COALESCE(SUM(cost_nano_usd), 0), COALESCE(SUM(simulated_nano_usd), 0) FROM events;
