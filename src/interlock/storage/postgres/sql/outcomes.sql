-- name: ended
-- What finished tasks count as.
SELECT created_ns / 3600000000000, tenant, workflow, kind, outcome, tier, simulated, coalesce(success::int, -1),
    cost_nano_usd, simulated_nano_usd, model_calls, escalations
FROM tasks WHERE status = 'finished' AND id = ANY(%s);

-- name: merge
-- Adds to an hour, or takes from it where a task counts as something else now.
INSERT INTO outcomes VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (hour, tenant, workflow, kind, outcome, tier, simulated, success) DO UPDATE SET
    n = outcomes.n + excluded.n,
    cost_nano_usd = outcomes.cost_nano_usd + excluded.cost_nano_usd,
    simulated_nano_usd = outcomes.simulated_nano_usd + excluded.simulated_nano_usd,
    model_calls = outcomes.model_calls + excluded.model_calls,
    escalations = outcomes.escalations + excluded.escalations;

-- name: read
-- How many tasks of these hours ended how, by workflow, and what they cost; those that have not ended are counted as they stand.
SELECT tenant, workflow, kind, 'finished' AS status, outcome, tier, simulated, CASE success WHEN 1 THEN true WHEN 0 THEN false END AS success,
    sum(n)::bigint AS n, sum(cost_nano_usd)::bigint AS cost_nano_usd, sum(simulated_nano_usd)::bigint AS simulated_nano_usd,
    sum(model_calls)::bigint AS model_calls, sum(escalations)::bigint AS escalations
FROM outcomes
WHERE hour >= %(since)s AND hour < %(until)s AND n > 0
  AND (%(tenant)s::text = '' OR tenant = %(tenant)s)
  AND (%(workflow)s::text IS NULL OR workflow = %(workflow)s)
GROUP BY tenant, workflow, kind, outcome, tier, simulated, outcomes.success
UNION ALL
SELECT tenant, workflow, kind, status, outcome, tier, simulated, success,
    count(*), sum(cost_nano_usd)::bigint, sum(simulated_nano_usd)::bigint, sum(model_calls)::bigint, sum(escalations)::bigint
FROM tasks
WHERE status <> 'finished' AND created_ns >= %(since)s * 3600000000000
  AND (%(until)s > 2000000 OR created_ns < %(until)s * 3600000000000)
  AND (%(tenant)s::text = '' OR tenant = %(tenant)s)
  AND (%(workflow)s::text IS NULL OR workflow = %(workflow)s)
GROUP BY tenant, workflow, kind, status, outcome, tier, simulated, success;

-- name: totals
-- The ledger's sums, from the tasks: those that have ended as they were counted, and the others.
SELECT
    ((SELECT coalesce(sum(cost_nano_usd), 0) FROM outcomes)
        + (SELECT coalesce(sum(cost_nano_usd), 0) FROM tasks WHERE status <> 'finished'))::bigint,
    ((SELECT coalesce(sum(simulated_nano_usd), 0) FROM outcomes)
        + (SELECT coalesce(sum(simulated_nano_usd), 0) FROM tasks WHERE status <> 'finished'))::bigint;
