-- name: merge
-- Adds one batch's share to an hour.
INSERT INTO meters VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (hour, tenant, workflow, meter, label) DO UPDATE SET n = meters.n + excluded.n;

-- name: read
-- What happened in a span of hours; an empty parameter does not filter, `workflow` filters when it is not NULL.
SELECT hour, tenant, workflow, meter, label, n FROM meters
WHERE hour >= %(since)s AND hour < %(until)s
  AND (%(tenant)s::text = '' OR tenant = %(tenant)s)
  AND (%(workflow)s::text IS NULL OR workflow = %(workflow)s)
ORDER BY hour, tenant, workflow, meter, label;

-- name: sums
-- The same with the hours of the span added up; `hour` is the first.
SELECT MIN(hour), tenant, workflow, meter, label, SUM(n)::bigint FROM meters
WHERE hour >= %(since)s AND hour < %(until)s
  AND (%(tenant)s::text = '' OR tenant = %(tenant)s)
  AND (%(workflow)s::text IS NULL OR workflow = %(workflow)s)
GROUP BY tenant, workflow, meter, label;
