-- name: read
-- What a session holds that has not ended.
SELECT held FROM sessions WHERE tenant = %s AND session = %s AND ends_ns > %s;

-- name: ensure
-- An empty one, where there is none.
INSERT INTO sessions (tenant, session, held, ends_ns) VALUES (%s, %s, '{}', %s) ON CONFLICT (tenant, session) DO NOTHING;

-- name: hold
-- What it holds and when it ends; nobody else changes it meanwhile.
SELECT held, ends_ns FROM sessions WHERE tenant = %s AND session = %s FOR UPDATE;

-- name: put
-- What it holds from now on.
UPDATE sessions SET held = %s, ends_ns = %s WHERE tenant = %s AND session = %s;

-- name: forget
-- Ends one.
DELETE FROM sessions WHERE tenant = %s AND session = %s AND ends_ns > %s;

-- name: sweep
-- Removes some of those that have ended.
DELETE FROM sessions WHERE (tenant, session) IN (SELECT tenant, session FROM sessions WHERE ends_ns <= %s LIMIT %s);

-- name: forget_all
-- Ends those whose ids begin so.
DELETE FROM sessions WHERE tenant = %s AND substr(session, 1, length(%s)) = %s;
