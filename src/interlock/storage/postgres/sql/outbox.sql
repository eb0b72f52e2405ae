-- name: put
-- A message, or what it says now where an earlier or the same lease said it.
INSERT INTO outbox (id, tenant, task, step, workflow, receiver, body, fence, since_ns, next_ns, tries)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET body = excluded.body, fence = excluded.fence
WHERE excluded.fence >= outbox.fence;

-- name: due
-- Messages whose time has come, those that have waited longest first, as far as nobody else takes them at this moment.
SELECT id, tenant, task, step, workflow, receiver, body, fence, since_ns, next_ns, tries
FROM outbox WHERE next_ns <= %s ORDER BY next_ns, id LIMIT %s FOR UPDATE SKIP LOCKED;

-- name: put_off
-- Whoever takes a message keeps it from the others for a while.
UPDATE outbox SET next_ns = %s, tries = tries + 1 WHERE id = %s;

-- name: again
-- When it is tried next.
UPDATE outbox SET next_ns = %s WHERE id = %s;

-- name: done
-- It was told, or need not be any more.
DELETE FROM outbox WHERE id = %s;

-- name: waiting
-- How many there are.
SELECT count(*) FROM outbox;

-- name: forget
-- Nobody is told of the task any more.
DELETE FROM outbox WHERE task = %s;
