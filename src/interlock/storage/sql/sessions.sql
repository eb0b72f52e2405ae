-- name: read
-- What a session holds that has not ended.
SELECT held FROM sessions WHERE tenant = ? AND session = ? AND ends_ns > ?;

-- name: ensure
-- An empty one, where there is none.
INSERT INTO sessions (tenant, session, held, ends_ns) VALUES (?, ?, '{}', ?) ON CONFLICT (tenant, session) DO NOTHING;

-- name: hold
-- What it holds and when it ends; nobody else changes it meanwhile.
SELECT held, ends_ns FROM sessions WHERE tenant = ? AND session = ?;

-- name: put
-- What it holds from now on.
UPDATE sessions SET held = ?, ends_ns = ? WHERE tenant = ? AND session = ?;

-- name: forget
-- Ends one.
DELETE FROM sessions WHERE tenant = ? AND session = ? AND ends_ns > ?;

-- name: sweep
-- Removes some of those that have ended.
DELETE FROM sessions WHERE (tenant, session) IN (SELECT tenant, session FROM sessions WHERE ends_ns <= ? LIMIT ?);

-- name: forget_all
-- Ends those whose ids begin so.
DELETE FROM sessions WHERE tenant = ? AND substr(session, 1, length(?)) = ?;
