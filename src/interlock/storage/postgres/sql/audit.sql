-- name: alone
-- Whoever comes meanwhile waits.
LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE;

-- name: append
-- The next entry.
INSERT INTO audit (seq, at_ns, tenant, who, role, action, target, detail, seal) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s);

-- name: after
-- From a place on, oldest first; an empty tenant stands for all.
SELECT seq, at_ns, tenant, who, role, action, target, detail, seal FROM audit
WHERE seq > %s AND (%s = '' OR tenant = %s) ORDER BY seq LIMIT %s;

-- name: before
-- The newest before a place.
SELECT seq, at_ns, tenant, who, role, action, target, detail, seal FROM audit
WHERE seq < %s AND (%s = '' OR tenant = %s) ORDER BY seq DESC LIMIT %s;

-- name: head
-- The last entry.
SELECT seq, seal FROM audit ORDER BY seq DESC LIMIT 1;
