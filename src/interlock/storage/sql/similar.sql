-- name: put
-- Keeps an answer with its question's vector, replacing the one before.
INSERT INTO similar (tenant, space, id, scope, expires_ns, value) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (tenant, space, id) DO UPDATE SET scope = excluded.scope, expires_ns = excluded.expires_ns, value = excluded.value;

-- name: put_state
-- Keeps what a scope has learned.
INSERT INTO similar_scope (tenant, scope, state) VALUES (?, ?, ?)
ON CONFLICT (tenant, scope) DO UPDATE SET state = excluded.state;

-- name: newest
-- What has not expired, that which lives longest first.
SELECT tenant, space, id, scope, expires_ns, value FROM similar WHERE expires_ns > ? ORDER BY expires_ns DESC LIMIT ?;

-- name: states
-- What every scope has learned.
SELECT tenant, scope, state FROM similar_scope;

-- name: purge
-- Removes what has expired.
DELETE FROM similar WHERE expires_ns <= ?;

-- name: trim
-- Keeps the given number of answers, those that live longest.
DELETE FROM similar WHERE (tenant, space, id) IN
    (SELECT tenant, space, id FROM similar ORDER BY expires_ns DESC LIMIT -1 OFFSET ?);

-- name: forget
-- Forgets what one tenant's scope has learned, or every scope of the tenant, or of everybody.
DELETE FROM similar_scope WHERE ? IN ('', tenant) AND ? IN ('', scope);

-- name: clear
-- Removes one tenant's answers, or everybody's.
DELETE FROM similar WHERE ? IN ('', tenant);
