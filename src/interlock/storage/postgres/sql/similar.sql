-- name: put
-- Keeps an answer with its question's vector, replacing the one before.
INSERT INTO similar_answers (tenant, space, id, scope, expires_ns, value) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (tenant, space, id) DO UPDATE SET scope = excluded.scope, expires_ns = excluded.expires_ns, value = excluded.value;

-- name: put_state
-- Keeps what a scope has learned.
INSERT INTO similar_scope (tenant, scope, state) VALUES (%s, %s, %s)
ON CONFLICT (tenant, scope) DO UPDATE SET state = excluded.state;

-- name: newest
-- What has not expired, that which lives longest first.
SELECT tenant, space, id, scope, expires_ns, value FROM similar_answers WHERE expires_ns > %s ORDER BY expires_ns DESC LIMIT %s;

-- name: states
-- What every scope has learned.
SELECT tenant, scope, state FROM similar_scope;

-- name: purge
-- Removes what has expired.
DELETE FROM similar_answers WHERE expires_ns <= %s;

-- name: trim
-- Keeps the given number of answers, those that live longest.
DELETE FROM similar_answers WHERE (tenant, space, id) IN
    (SELECT tenant, space, id FROM similar_answers ORDER BY expires_ns DESC OFFSET %s);

-- name: forget
-- Forgets what one tenant's scope has learned, or every scope of the tenant, or of everybody.
DELETE FROM similar_scope WHERE %s::text IN ('', tenant) AND %s::text IN ('', scope);

-- name: clear
-- Removes one tenant's answers, or everybody's.
DELETE FROM similar_answers WHERE %s::text IN ('', tenant);
