-- name: secret
-- What names of bodies are made with; none while nobody may keep any.
SELECT secret FROM body_secret;

-- name: there
-- Those of the given names (a JSON list) that have a body; nobody else counts them before this transaction ends.
SELECT name FROM bodies WHERE name = ANY(ARRAY(SELECT json_array_elements_text(%s::json))) ORDER BY name FOR UPDATE;

-- name: some
-- The bodies of these names (a JSON list).
SELECT name, body FROM bodies WHERE name = ANY(ARRAY(SELECT json_array_elements_text(%s::json)));

-- name: use
-- So many more (or fewer) kept values hold a body.
UPDATE bodies SET uses = uses + %s WHERE name = %s;

-- name: put
-- A body that is new.
INSERT INTO bodies (name, tenant, uses, body) VALUES (%s, %s, %s, %s) ON CONFLICT (name) DO UPDATE SET uses = bodies.uses + excluded.uses;

-- name: drop
-- Those of the given names (a JSON list) that nothing holds any more.
DELETE FROM bodies WHERE uses <= 0 AND name = ANY(ARRAY(SELECT json_array_elements_text(%s::json)));

-- name: held
-- How many bodies there are, how often they are held, and their bytes as they rest.
SELECT count(*), coalesce(sum(uses), 0)::bigint, coalesce(sum(length(body)), 0)::bigint FROM bodies;
