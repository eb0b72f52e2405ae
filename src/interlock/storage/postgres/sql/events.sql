-- name: insert
-- Events at their places, each parameter a list with one entry per event; gives the places that were free.
INSERT INTO events (task, seq, at_ns, tenant, type, event, said, content, cost_nano_usd, simulated_nano_usd)
SELECT * FROM unnest(
    %b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::bytea[], %b::text[], %b::bigint[], %b::bigint[]
)
ON CONFLICT (task, seq) DO NOTHING RETURNING task, seq;

-- name: there
-- What stands at the given places.
SELECT e.task, e.seq, e.event FROM events AS e
JOIN unnest(%s::text[], %s::bigint[]) AS asked(task, seq) ON e.task = asked.task AND e.seq = asked.seq;

-- name: of_task
-- A task's log in order, after a given place.
SELECT task, seq, at_ns, tenant, event, coalesce(said, convert_to(content, 'UTF8')) FROM events WHERE task = %s AND seq > %s ORDER BY seq;

-- name: to_change
-- The same of the whole log as far as it holds content; nobody else changes it before this transaction ends.
SELECT task, seq, at_ns, tenant, event, coalesce(said, convert_to(content, 'UTF8')) FROM events
WHERE task = %s AND (said IS NOT NULL OR content IS NOT NULL) ORDER BY seq FOR UPDATE;

-- name: contents
-- The sensitive part of a task's log.
SELECT seq, coalesce(said, convert_to(content, 'UTF8')) FROM events
WHERE task = %s AND (said IS NOT NULL OR content IS NOT NULL) FOR UPDATE;

-- name: set_content
-- Replaces the sensitive part of one event.
UPDATE events SET said = %s, content = %s WHERE task = %s AND seq = %s;

-- name: totals
-- The ledger's sums, from the events that have rows of their own.
SELECT coalesce(sum(cost_nano_usd), 0)::bigint, coalesce(sum(simulated_nano_usd), 0)::bigint FROM events;
