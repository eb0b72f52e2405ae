-- name: put
-- A message, or what it says now where an earlier or the same lease said it.
INSERT INTO outbox (id, tenant, task, step, workflow, receiver, body, fence, since_ns, next_ns, tries)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET body = excluded.body, fence = excluded.fence
WHERE excluded.fence >= outbox.fence;

-- name: due
-- Messages whose time has come, those that have waited longest first.
SELECT id, tenant, task, step, workflow, receiver, body, fence, since_ns, next_ns, tries
FROM outbox WHERE next_ns <= ? ORDER BY next_ns, id LIMIT ?;

-- name: put_off
-- Whoever takes a message keeps it from the others for a while.
UPDATE outbox SET next_ns = ?, tries = tries + 1 WHERE id = ?;

-- name: again
-- When it is tried next.
UPDATE outbox SET next_ns = ? WHERE id = ?;

-- name: done
-- It was told, or need not be any more.
DELETE FROM outbox WHERE id = ?;

-- name: waiting
-- How many there are.
SELECT COUNT(*) FROM outbox;

-- name: forget
-- Nobody is told of the task any more.
DELETE FROM outbox WHERE task = ?;
