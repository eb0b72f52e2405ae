-- name: add
-- A signal from outside, which whoever listens hears of; the same id again changes nothing.
WITH added AS (
    INSERT INTO signals (task, id, name, payload, at_ns) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (task, id) DO NOTHING RETURNING id
)
SELECT pg_notify('interlock_due', '') FROM added;

-- name: pending
-- What a task has not dealt with yet, oldest first.
SELECT task, id, name, payload, at_ns FROM signals WHERE task = %s AND NOT consumed ORDER BY at_ns, id;

-- name: called
-- Those of the given tasks (a JSON list of ids) that something has come in for.
SELECT DISTINCT task FROM signals WHERE NOT consumed AND task IN (SELECT jsonb_array_elements_text(%s::jsonb));

-- name: consume
-- Marks one signal as dealt with.
UPDATE signals SET consumed = true WHERE task = %s AND id = %s;

-- name: forget
-- What signals that were dealt with said; that they came stays.
UPDATE signals SET payload = '{}' WHERE task = %s AND consumed AND payload <> '{}';
