-- name: put
-- Notes a file.
INSERT INTO files (id, tenant, purpose, name, size, created_ns, expires_ns, whose)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO NOTHING;

-- name: get
-- One file of a tenant that has not expired.
SELECT id, tenant, purpose, name, size, created_ns, expires_ns, whose FROM files
WHERE tenant = %s AND id = %s AND (expires_ns = 0 OR expires_ns > %s);

-- name: list
-- A tenant's files, newest first; ids sort by time.
SELECT id, tenant, purpose, name, size, created_ns, expires_ns, whose FROM files
WHERE tenant = %(tenant)s AND (%(purpose)s::text = '' OR purpose = %(purpose)s) AND (%(after)s::text = '' OR id < %(after)s)
    AND (expires_ns = 0 OR expires_ns > %(now_ns)s)
ORDER BY id DESC LIMIT %(limit)s;

-- name: delete
-- Forgets a file of a tenant.
DELETE FROM files WHERE tenant = %s AND id = %s;

-- name: expired
-- Files whose time is up.
SELECT id, tenant, purpose, name, size, created_ns, expires_ns, whose FROM files
WHERE expires_ns > 0 AND expires_ns <= %s LIMIT %s;
