-- name: add
-- A signal from outside; the same id again changes nothing.
INSERT INTO signals (task, id, name, payload, at_ns) VALUES (?, ?, ?, ?, ?) ON CONFLICT (task, id) DO NOTHING;

-- name: pending
-- What a task has not dealt with yet, oldest first.
SELECT task, id, name, payload, at_ns FROM signals WHERE task = ? AND consumed = 0 ORDER BY at_ns, id;

-- name: called
-- Those of the given tasks (a JSON list of ids) that something has come in for.
SELECT DISTINCT task FROM signals WHERE consumed = 0 AND task IN (SELECT value FROM json_each(?));

-- name: consume
-- Marks one signal as dealt with.
UPDATE signals SET consumed = 1 WHERE task = ? AND id = ?;

-- name: forget
-- What signals that were dealt with said; that they came stays.
UPDATE signals SET payload = '{}' WHERE task = ? AND consumed = 1 AND payload <> '{}';
