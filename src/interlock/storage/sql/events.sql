-- name: insert
-- One event at its place; a place that is taken is an error.
INSERT INTO events (
    task, seq, at_ns, tenant, type, event, content,
    user, workflow, kind, name, deployment, tier, status, started_ns, duration_us,
    input, cache_read, cache_write, cache_write_1h, output, reasoning,
    input_image, input_audio, output_image, output_audio, compute_ms,
    cost_nano_usd, simulated_nano_usd, reserved_nano_usd, saved_nano_usd, simulated, degraded, cache, price
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

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
SELECT COALESCE(SUM(cost_nano_usd), 0), COALESCE(SUM(simulated_nano_usd), 0) FROM events WHERE kind IS NOT NULL;
