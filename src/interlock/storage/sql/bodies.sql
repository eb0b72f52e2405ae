-- name: secret
-- What names of bodies are made with; none while nobody may keep any.
SELECT secret FROM body_secret;

-- name: there
-- Those of the given names (a JSON list) that have a body.
SELECT name FROM bodies WHERE name IN (SELECT value FROM json_each(?));

-- name: some
-- The bodies of these names (a JSON list).
SELECT name, body FROM bodies WHERE name IN (SELECT value FROM json_each(?));

-- name: use
-- So many more (or fewer) kept values hold a body.
UPDATE bodies SET uses = uses + ? WHERE name = ?;

-- name: put
-- A body that is new.
INSERT INTO bodies (name, tenant, uses, body) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET uses = uses + excluded.uses;

-- name: drop
-- Those of the given names (a JSON list) that nothing holds any more.
DELETE FROM bodies WHERE uses <= 0 AND name IN (SELECT value FROM json_each(?));

-- name: held
-- How many bodies there are, how often they are held, and their bytes as they rest.
SELECT COUNT(*), COALESCE(SUM(uses), 0), COALESCE(SUM(LENGTH(body)), 0) FROM bodies;
