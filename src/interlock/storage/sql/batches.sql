-- name: create
-- A new batch.
INSERT INTO batches (id, tenant, active, row) VALUES (?, ?, 1, ?);

-- name: get
-- One batch of a tenant.
SELECT row, cancelling_ns FROM batches WHERE tenant = ? AND id = ?;

-- name: list
-- A tenant's batches, newest first; ids sort by time.
SELECT row, cancelling_ns FROM batches WHERE tenant = :tenant AND id > :kind AND id < :kind || '~' AND (:after = '' OR id < :after)
ORDER BY id DESC LIMIT :limit;

-- name: save
-- What its worker says of a batch, as long as it holds it.
UPDATE batches SET row = ?, active = ? WHERE id = ? AND owner = ?;

-- name: cancel
-- The wish to cancel a batch that is not over.
UPDATE batches SET cancelling_ns = ? WHERE tenant = ? AND id = ? AND active = 1;

-- name: active
-- Batches that are not over, oldest first, with who holds them.
SELECT id, owner, lease_until_ns, row, cancelling_ns FROM batches WHERE active = 1 ORDER BY id;

-- name: hold
-- Takes a batch.
UPDATE batches SET owner = ?, lease_until_ns = ? WHERE id = ?;

-- name: renew
-- Holds it longer.
UPDATE batches SET lease_until_ns = ? WHERE id = ? AND owner = ?;

-- name: release
-- Gives it back.
UPDATE batches SET owner = '', lease_until_ns = ? WHERE id = ? AND owner = ?;

-- name: add_line
-- A request of a batch.
INSERT INTO batch_lines (batch, line, custom_id, at, size, tries, status, reply) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (batch, line) DO NOTHING;

-- name: pending
-- Requests without an answer, in order.
SELECT line, custom_id, at, size, tries, status, reply FROM batch_lines
WHERE batch = ? AND status = 0 AND line > ? ORDER BY line LIMIT ?;

-- name: answered
-- What came of a request; the first answer stays.
UPDATE batch_lines SET tries = ?, status = ?, reply = ? WHERE batch = ? AND line = ? AND status = 0;

-- name: answers
-- Requests with an answer, in order.
SELECT line, custom_id, at, size, tries, status, reply FROM batch_lines
WHERE batch = ? AND status > 0 AND line > ? ORDER BY line LIMIT ?;

-- name: counts
-- Requests, successes, failures.
SELECT count(*), coalesce(sum(status BETWEEN 200 AND 299), 0), coalesce(sum(status > 299), 0)
FROM batch_lines WHERE batch = ?;

-- name: drop_lines
-- Forgets the requests of a batch that is over; the answers stand in its files.
DELETE FROM batch_lines WHERE batch = :batch
    OR (:batch = '' AND batch NOT IN (SELECT id FROM batches WHERE active = 1));
