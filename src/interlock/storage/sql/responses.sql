-- name: put
-- Keeps a turn; the same turn twice is one. It belongs to the conversation of the turn before it.
INSERT INTO responses (id, tenant, key_id, previous, root, items, output, body, created_ns, expires_ns, whose)
SELECT :id, :tenant, :key_id, :previous, coalesce(
    (SELECT root FROM responses WHERE tenant = :tenant AND key_id = :key_id AND id = :previous), :id
), :items, :output, :body, :created_ns, :expires_ns, :user
WHERE true
ON CONFLICT (tenant, key_id, id) DO NOTHING;

-- name: get
-- One turn that has not expired.
SELECT id, tenant, key_id, previous, items, output, body, created_ns, expires_ns
FROM responses WHERE tenant = ? AND key_id = ? AND id = ? AND expires_ns > ?;

-- name: chain
-- A turn and those before it, newest first; empty unless the turn itself has not expired.
WITH RECURSIVE before (id, previous, depth) AS (
    SELECT id, previous, 1 FROM responses
    WHERE tenant = :tenant AND key_id = :key_id AND id = :id AND expires_ns > :now_ns
    UNION
    SELECT r.id, r.previous, b.depth + 1 FROM responses AS r JOIN before AS b ON r.id = b.previous
    WHERE r.tenant = :tenant AND r.key_id = :key_id AND b.depth < :most
)
SELECT r.id, r.tenant, r.key_id, r.previous, r.items, r.output, r.body, r.created_ns, r.expires_ns
FROM responses AS r JOIN before AS b ON r.id = b.id
WHERE r.tenant = :tenant AND r.key_id = :key_id
ORDER BY b.depth;

-- name: delete
-- Removes one turn.
DELETE FROM responses WHERE tenant = ? AND key_id = ? AND id = ?;

-- name: forget
-- Removes every turn of a key, or of all of a tenant's.
DELETE FROM responses WHERE tenant = ? AND ? IN (key_id, '*');

-- name: forget_user
-- Removes every turn that was made on a user's behalf, with whichever key.
DELETE FROM responses WHERE tenant = ? AND whose = ?;

-- name: purge
-- Removes conversations whose newest turn has expired.
DELETE FROM responses WHERE expires_ns <= :now_ns
    AND NOT EXISTS (SELECT 1 FROM responses AS newer WHERE newer.root = responses.root AND newer.expires_ns > :now_ns);
