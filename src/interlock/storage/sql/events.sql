-- name: insert
-- One event; a (task, seq) that is taken is an error.
INSERT INTO events (
    place, task, seq, at_ns, tenant, type, event, content,
    workflow, tier, status, started_ns, duration_us, escalations, simulated, cost_nano_usd, simulated_nano_usd
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: reserve
-- So many places, or as many more as may be taken ahead; gives the place behind them, and how many those may be.
UPDATE places SET next = next + max(:places, :may * ahead) RETURNING next, ahead;

-- name: at
-- What stands at one place of a task.
SELECT event FROM events WHERE task = ? AND seq = ?;

-- name: of_task
-- A task's log in order.
SELECT task, seq, at_ns, tenant, event, content FROM events WHERE task = ? AND seq > ? ORDER BY seq;

-- name: contents
-- The sensitive content of a task's log.
SELECT seq, content FROM events WHERE task = ? AND content IS NOT NULL;

-- name: set_content
-- Puts other content, or none, in the place of one event's.
UPDATE events SET content = ? WHERE task = ? AND seq = ?;

-- name: totals
-- The ledger's sums, from the events that have rows of their own.
SELECT COALESCE(SUM(cost_nano_usd), 0), COALESCE(SUM(simulated_nano_usd), 0) FROM events;
