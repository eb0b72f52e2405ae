-- name: alone
-- A writer of this file is alone already.
SELECT 1;

-- name: append
-- The next entry.
INSERT INTO audit (seq, at_ns, tenant, who, role, action, target, detail, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: after
-- From a place on, oldest first; an empty tenant stands for all.
SELECT seq, at_ns, tenant, who, role, action, target, detail, seal FROM audit
WHERE seq > ? AND (? = '' OR tenant = ?) ORDER BY seq LIMIT ?;

-- name: before
-- The newest before a place.
SELECT seq, at_ns, tenant, who, role, action, target, detail, seal FROM audit
WHERE seq < ? AND (? = '' OR tenant = ?) ORDER BY seq DESC LIMIT ?;

-- name: head
-- The last entry.
SELECT seq, seal FROM audit ORDER BY seq DESC LIMIT 1;
