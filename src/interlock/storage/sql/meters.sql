-- name: merge
-- Adds one batch's share to an hour.
INSERT INTO meters VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (hour, tenant, workflow, meter, label) DO UPDATE SET n = n + excluded.n;

-- name: read
-- What happened in a span of hours; an empty parameter does not filter, `workflow` filters when it is not NULL.
SELECT hour, tenant, workflow, meter, label, n FROM meters
WHERE hour >= :since AND hour < :until
  AND (:tenant = '' OR tenant = :tenant)
  AND (:workflow IS NULL OR workflow = :workflow);

-- name: sums
-- The same with the hours of the span added up; `hour` is the first.
SELECT MIN(hour), tenant, workflow, meter, label, SUM(n) FROM meters
WHERE hour >= :since AND hour < :until
  AND (:tenant = '' OR tenant = :tenant)
  AND (:workflow IS NULL OR workflow = :workflow)
GROUP BY tenant, workflow, meter, label;
