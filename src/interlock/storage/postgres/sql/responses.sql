-- name: put
-- Keeps a turn; the same turn twice is one. It belongs to the conversation of the turn before it.
INSERT INTO responses (id, tenant, key_id, previous, root, items, output, body, created_ns, expires_ns, whose)
SELECT %(id)s, %(tenant)s, %(key_id)s, %(previous)s, coalesce(
    (SELECT root FROM responses WHERE tenant = %(tenant)s AND key_id = %(key_id)s AND id = %(previous)s), %(id)s
), %(items)s::bytea, %(output)s::bytea, %(body)s::bytea, %(created_ns)s, %(expires_ns)s, %(user)s
ON CONFLICT (tenant, key_id, id) DO NOTHING;

-- name: get
-- One turn that has not expired.
SELECT id, tenant, key_id, previous, items, output, body, created_ns, expires_ns
FROM responses WHERE tenant = %s AND key_id = %s AND id = %s AND expires_ns > %s;

-- name: chain
-- A turn and those before it, newest first; empty unless the turn itself has not expired.
WITH RECURSIVE before (id, previous, depth) AS (
    SELECT id, previous, 1 FROM responses
    WHERE tenant = %(tenant)s AND key_id = %(key_id)s AND id = %(id)s AND expires_ns > %(now_ns)s
    UNION
    SELECT r.id, r.previous, b.depth + 1 FROM responses AS r JOIN before AS b ON r.id = b.previous
    WHERE r.tenant = %(tenant)s AND r.key_id = %(key_id)s AND b.depth < %(most)s
)
SELECT r.id, r.tenant, r.key_id, r.previous, r.items, r.output, r.body, r.created_ns, r.expires_ns
FROM responses AS r JOIN before AS b ON r.id = b.id
WHERE r.tenant = %(tenant)s AND r.key_id = %(key_id)s
ORDER BY b.depth;

-- name: delete
-- Removes one turn.
DELETE FROM responses WHERE tenant = %s AND key_id = %s AND id = %s;

-- name: forget
-- Removes every turn of a key, or of all of a tenant's.
DELETE FROM responses WHERE tenant = %s AND %s IN (key_id, '*');

-- name: forget_user
-- Removes every turn that was made on a user's behalf, with whichever key.
DELETE FROM responses WHERE tenant = %s AND whose = %s;

-- name: purge
-- Removes conversations whose newest turn has expired.
DELETE FROM responses WHERE expires_ns <= %(now_ns)s
    AND NOT EXISTS (SELECT 1 FROM responses AS newer WHERE newer.root = responses.root AND newer.expires_ns > %(now_ns)s);
