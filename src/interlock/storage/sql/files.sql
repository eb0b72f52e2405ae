-- name: put
-- Notes a file.
INSERT INTO files (id, tenant, purpose, name, size, created_ns, expires_ns, whose)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO NOTHING;

-- name: get
-- One file of a tenant that has not expired.
SELECT id, tenant, purpose, name, size, created_ns, expires_ns, whose FROM files
WHERE tenant = ? AND id = ? AND (expires_ns = 0 OR expires_ns > ?);

-- name: list
-- A tenant's files, newest first; ids sort by time.
SELECT id, tenant, purpose, name, size, created_ns, expires_ns, whose FROM files
WHERE tenant = :tenant AND (:purpose = '' OR purpose = :purpose) AND (:after = '' OR id < :after)
    AND (expires_ns = 0 OR expires_ns > :now_ns)
ORDER BY id DESC LIMIT :limit;

-- name: delete
-- Forgets a file of a tenant.
DELETE FROM files WHERE tenant = ? AND id = ?;

-- name: expired
-- Files whose time is up.
SELECT id, tenant, purpose, name, size, created_ns, expires_ns, whose FROM files
WHERE expires_ns > 0 AND expires_ns <= ? LIMIT ?;
