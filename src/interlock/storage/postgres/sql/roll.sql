-- name: merge
-- Adds one batch's share to an hour.
INSERT INTO roll VALUES (
    %(hour)s, %(tenant)s, %(workflow)s, %(role)s, %(kind)s, %(name)s, %(deployment)s, %(tier)s, %(simulated)s, %(cache)s, %(status)s,
    %(n)s, %(cost)s, %(simulated_cost)s, %(saved)s, %(usage)s::bigint[], %(lines)s::bigint[], latency_of(%(latency)s::bigint[])
)
ON CONFLICT (hour, tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status) DO UPDATE SET
    n = roll.n + excluded.n,
    cost_nano_usd = roll.cost_nano_usd + excluded.cost_nano_usd,
    simulated_nano_usd = roll.simulated_nano_usd + excluded.simulated_nano_usd,
    saved_nano_usd = roll.saved_nano_usd + excluded.saved_nano_usd,
    usage = add_up(roll.usage, excluded.usage),
    lines = add_up(roll.lines, excluded.lines),
    latency = latency_and(roll.latency, %(latency)s::bigint[]);

-- name: read
-- Roll-ups of a span of hours; an empty parameter does not filter, `workflow` filters when it is not NULL.
SELECT hour, tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status,
    n, cost_nano_usd, simulated_nano_usd, saved_nano_usd, usage, lines, latency_told(latency)
FROM roll
WHERE hour >= %(since)s AND hour < %(until)s
  AND (%(tenant)s::text = '' OR tenant = %(tenant)s)
  AND (%(workflow)s::text IS NULL OR workflow = %(workflow)s)
  AND (%(role)s::text = '' OR role = %(role)s)
ORDER BY hour, tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status;

-- name: totals
-- The ledger's sums, from the roll-ups.
SELECT coalesce(sum(cost_nano_usd), 0)::bigint, coalesce(sum(simulated_nano_usd), 0)::bigint FROM roll;
