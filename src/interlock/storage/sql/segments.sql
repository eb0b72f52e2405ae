-- name: insert
-- A segment.
INSERT INTO segments (
    id, tenant, workflow, first_ns, last_ns, n, outcomes, cost_nano_usd, simulated_nano_usd, most_nano_usd, calls, contents
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: index
-- These tasks (a JSON list of ids) stand from that place on; one that stands somewhere already is an error.
INSERT INTO lone SELECT value, ? + key FROM json_each(?);

-- name: known
-- Those of the given tasks (a JSON list of ids) of which something is known already, as a lone call or otherwise.
SELECT task FROM lone WHERE task IN (SELECT value FROM json_each(:tasks))
UNION
SELECT id FROM tasks WHERE id IN (SELECT value FROM json_each(:tasks));

-- name: near_rows
-- Whether any task from one id to another has a row of its own: ids sort by time, so between those of one batch there are few.
SELECT EXISTS (SELECT 1 FROM tasks WHERE id BETWEEN ? AND ?);

-- name: with_rows
-- Whether any of the given tasks (a JSON list of ids) has a row of its own.
SELECT EXISTS (SELECT 1 FROM tasks WHERE id IN (SELECT value FROM json_each(?)));

-- name: among
-- Those of the given tasks (a JSON list of ids) that have been written as lone calls.
SELECT task FROM lone WHERE task IN (SELECT value FROM json_each(?));

-- name: holding
-- The segment in which a lone call was written: its id, calls and contents, and the call's place.
SELECT s.id, s.calls, s.contents, l.place FROM lone AS l
JOIN segments AS s ON s.id = (SELECT MAX(id) FROM segments WHERE id <= l.place)
WHERE l.task = ?;

-- name: replace
-- A segment of which a call has changed or gone.
UPDATE segments SET
    tenant = ?, workflow = ?, first_ns = ?, last_ns = ?, n = ?, outcomes = ?, cost_nano_usd = ?, simulated_nano_usd = ?,
    most_nano_usd = ?, calls = ?, contents = ?
WHERE id = ?;

-- name: delete
-- A segment that holds nothing any more.
DELETE FROM segments WHERE id = ?;

-- name: newest
-- Segments that may hold what is asked for, those that end last first. `end_ns` is a whole minute, as segments are.
SELECT last_ns, calls FROM segments
WHERE last_ns >= :since_ns AND last_ns < :end_ns AND first_ns <= :last_ns
  AND (:outcomes = 0 OR outcomes & :outcomes <> 0) AND most_nano_usd >= :least_nano_usd
  AND (:workflow = '' OR workflow = :workflow)
ORDER BY last_ns DESC;

-- name: newest_of_tenant
-- The same of one tenant.
SELECT last_ns, calls FROM segments
WHERE tenant = :tenant AND last_ns >= :since_ns AND last_ns < :end_ns AND first_ns <= :last_ns
  AND (:outcomes = 0 OR outcomes & :outcomes <> 0) AND most_nano_usd >= :least_nano_usd
ORDER BY last_ns DESC;

-- name: newest_of_workflow
-- The same of one tenant's workflow.
SELECT last_ns, calls FROM segments
WHERE tenant = :tenant AND workflow = :workflow AND last_ns >= :since_ns AND last_ns < :end_ns AND first_ns <= :last_ns
  AND (:outcomes = 0 OR outcomes & :outcomes <> 0) AND most_nano_usd >= :least_nano_usd
ORDER BY last_ns DESC;

-- name: totals
-- The ledger's sums, from the lone calls.
SELECT COALESCE(SUM(cost_nano_usd), 0), COALESCE(SUM(simulated_nano_usd), 0) FROM segments;
