-- name: ended
-- What finished tasks (a JSON list of ids) count as.
SELECT created_ns / 3600000000000, tenant, workflow, kind, outcome, tier, simulated, COALESCE(success, -1),
    cost_nano_usd, simulated_nano_usd, model_calls, escalations
FROM tasks WHERE status = 'finished' AND id IN (SELECT value FROM json_each(?));

-- name: merge
-- Adds to an hour, or takes from it where a task counts as something else now.
INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (hour, tenant, workflow, kind, outcome, tier, simulated, success) DO UPDATE SET
    n = n + excluded.n,
    cost_nano_usd = cost_nano_usd + excluded.cost_nano_usd,
    simulated_nano_usd = simulated_nano_usd + excluded.simulated_nano_usd,
    model_calls = model_calls + excluded.model_calls,
    escalations = escalations + excluded.escalations;

-- name: read
-- How many tasks of these hours ended how, by workflow, and what they cost; those that have not ended are counted as they stand.
SELECT tenant, workflow, kind, 'finished' AS status, outcome, tier, simulated, NULLIF(success, -1) AS success,
    SUM(n) AS n, SUM(cost_nano_usd) AS cost_nano_usd, SUM(simulated_nano_usd) AS simulated_nano_usd,
    SUM(model_calls) AS model_calls, SUM(escalations) AS escalations
FROM outcomes
WHERE hour >= :since AND hour < :until AND n > 0
  AND (:tenant = '' OR tenant = :tenant)
  AND (:workflow IS NULL OR workflow = :workflow)
GROUP BY tenant, workflow, kind, outcome, tier, simulated, success
UNION ALL
SELECT tenant, workflow, kind, status, outcome, tier, simulated, success,
    COUNT(*), SUM(cost_nano_usd), SUM(simulated_nano_usd), SUM(model_calls), SUM(escalations)
FROM tasks
WHERE status <> 'finished' AND created_ns >= :since * 3600000000000
  AND (:until > 2000000 OR created_ns < :until * 3600000000000)
  AND (:tenant = '' OR tenant = :tenant)
  AND (:workflow IS NULL OR workflow = :workflow)
GROUP BY tenant, workflow, kind, status, outcome, tier, simulated, success;

-- name: totals
-- The ledger's sums, from the tasks: those that have ended as they were counted, and the others.
SELECT
    (SELECT COALESCE(SUM(cost_nano_usd), 0) FROM outcomes)
        + (SELECT COALESCE(SUM(cost_nano_usd), 0) FROM tasks WHERE status <> 'finished'),
    (SELECT COALESCE(SUM(simulated_nano_usd), 0) FROM outcomes)
        + (SELECT COALESCE(SUM(simulated_nano_usd), 0) FROM tasks WHERE status <> 'finished');
