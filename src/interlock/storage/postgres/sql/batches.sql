-- name: create
-- A new batch.
INSERT INTO batches (id, tenant, active, "row") VALUES (%s, %s, true, %s);

-- name: get
-- One batch of a tenant.
SELECT "row", cancelling_ns FROM batches WHERE tenant = %s AND id = %s;

-- name: list
-- A tenant's batches, newest first; ids sort by time.
SELECT "row", cancelling_ns FROM batches
WHERE tenant = %(tenant)s AND id > %(kind)s::text AND id < %(kind)s::text || '~' AND (%(after)s::text = '' OR id < %(after)s)
ORDER BY id DESC LIMIT %(limit)s;

-- name: save
-- What its worker says of a batch, as long as it holds it.
UPDATE batches SET "row" = %s, active = %s WHERE id = %s AND owner = %s;

-- name: cancel
-- The wish to cancel a batch that is not over.
UPDATE batches SET cancelling_ns = %s WHERE tenant = %s AND id = %s AND active;

-- name: active
-- Batches that are not over, oldest first, with who holds them, as far as nobody else takes them at this moment.
SELECT id, owner, lease_until_ns, "row", cancelling_ns FROM batches WHERE active ORDER BY id FOR UPDATE SKIP LOCKED;

-- name: hold
-- Takes a batch.
UPDATE batches SET owner = %s, lease_until_ns = %s WHERE id = %s;

-- name: renew
-- Holds it longer.
UPDATE batches SET lease_until_ns = %s WHERE id = %s AND owner = %s;

-- name: release
-- Gives it back.
UPDATE batches SET owner = '', lease_until_ns = %s WHERE id = %s AND owner = %s;

-- name: add_line
-- A request of a batch.
INSERT INTO batch_lines (batch, line, custom_id, at, size, tries, status, reply) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (batch, line) DO NOTHING;

-- name: pending
-- Requests without an answer, in order.
SELECT line, custom_id, at, size, tries, status, reply FROM batch_lines
WHERE batch = %s AND status = 0 AND line > %s ORDER BY line LIMIT %s;

-- name: answered
-- What came of a request; the first answer stays.
UPDATE batch_lines SET tries = %s, status = %s, reply = %s WHERE batch = %s AND line = %s AND status = 0;

-- name: answers
-- Requests with an answer, in order.
SELECT line, custom_id, at, size, tries, status, reply FROM batch_lines
WHERE batch = %s AND status > 0 AND line > %s ORDER BY line LIMIT %s;

-- name: counts
-- Requests, successes, failures.
SELECT count(*), count(*) FILTER (WHERE status BETWEEN 200 AND 299), count(*) FILTER (WHERE status > 299)
FROM batch_lines WHERE batch = %s;

-- name: drop_lines
-- Forgets the requests of a batch that is over; the answers stand in its files.
DELETE FROM batch_lines WHERE batch = %(batch)s
    OR (%(batch)s::text = '' AND batch NOT IN (SELECT id FROM batches WHERE active));
