-- name: insert
-- Lone calls, each parameter a list with one entry per call; gives those that were not there.
INSERT INTO calls (task, seq, tenant, workflow, "user", outcome, started_ns, at_ns, cost_nano_usd, simulated_nano_usd, event, said, content)
SELECT * FROM unnest(
    %b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[],
    %b::text[], %b::bytea[], %b::text[]
)
ON CONFLICT (task) DO NOTHING RETURNING task;

-- name: find
-- The lone call that is a task.
SELECT event, coalesce(said, convert_to(content, 'UTF8')), at_ns FROM calls WHERE task = %s AND NOT moved;

-- name: kept
-- What was said in the lone call that is a task, as it rests; nobody else changes it before this transaction ends.
SELECT coalesce(said, convert_to(content, 'UTF8')) FROM calls WHERE task = %s AND NOT moved FOR UPDATE;

-- name: among
-- Those of the given tasks that are lone calls until now; nobody else changes them before this transaction ends.
SELECT event, at_ns FROM calls WHERE task = ANY(%s) AND NOT moved ORDER BY task FOR UPDATE;

-- name: move
-- The events of these calls get rows of their own, in the places that they had.
INSERT INTO events (task, seq, at_ns, tenant, type, event, content, said, cost_nano_usd, simulated_nano_usd, era, xid, place)
SELECT task, seq, at_ns, tenant, 'settled', event, content, said, cost_nano_usd, simulated_nano_usd, era, xid, place
FROM calls WHERE task = ANY(%s) AND NOT moved;

-- name: moved
-- These calls stand elsewhere now.
UPDATE calls SET moved = true, content = NULL, said = NULL WHERE task = ANY(%s) AND NOT moved;

-- name: set_content
-- Replaces the sensitive part of a call.
UPDATE calls SET said = %s, content = %s WHERE task = %s AND NOT moved;

-- name: list
-- Lone calls, newest first; an empty parameter does not filter.
SELECT event, at_ns FROM calls
WHERE NOT moved
  AND started_ns >= %(since_ns)s
  AND started_ns <= %(last_ns)s
  AND NOT (%(before_id)s::text <> '' AND started_ns = %(last_ns)s AND task >= %(before_id)s)
  AND (%(tenant)s::text = '' OR tenant = %(tenant)s)
  AND (%(workflow)s::text = '' OR workflow = %(workflow)s)
  AND (%(user)s::text = '' OR "user" = %(user)s)
  AND (%(least_nano_usd)s = 0 OR cost_nano_usd + simulated_nano_usd >= %(least_nano_usd)s)
  AND (%(outcome)s::text = '' OR outcome = %(outcome)s)
ORDER BY started_ns DESC, task DESC LIMIT %(limit)s;

-- name: totals
-- The ledger's sums, from the lone calls.
SELECT coalesce(sum(cost_nano_usd), 0)::bigint, coalesce(sum(simulated_nano_usd), 0)::bigint FROM calls WHERE NOT moved;
