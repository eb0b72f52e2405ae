-- name: add
-- A signal from outside, which whoever listens hears of; the same id again changes nothing.
WITH added AS (
    INSERT INTO signals (task, id, name, payload, at_ns) VALUES (%s, %s, %s, %s, %s) ON CONFLICT (task, id) DO NOTHING RETURNING id
)
SELECT pg_notify('interlock_due', '') FROM added;

-- name: pending
-- What a task has not dealt with yet, oldest first.
SELECT task, id, name, payload, at_ns FROM signals WHERE task = %s AND NOT consumed ORDER BY at_ns, id;

-- name: consume
-- Marks one signal as dealt with.
UPDATE signals SET consumed = true WHERE task = %s AND id = %s;

-- name: forget
-- What signals that were dealt with said; that they came stays.
UPDATE signals SET payload = '{}' WHERE task = %s AND consumed AND payload <> '{}';
