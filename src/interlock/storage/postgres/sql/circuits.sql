-- name: add
-- One change, where it is not there yet.
INSERT INTO circuits (at_ns, tenant, process, seq, deployment, state, reason) VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (process, seq) DO NOTHING;

-- name: since
-- The newest from a moment on.
SELECT at_ns, tenant, process, seq, deployment, state, reason FROM circuits
WHERE tenant = %s AND at_ns >= %s ORDER BY at_ns DESC, process, seq DESC LIMIT %s;

-- name: before
-- How each breaker that was not closed stood at a moment.
SELECT at_ns, tenant, process, seq, deployment, state, reason FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY process, deployment ORDER BY seq DESC) AS back FROM circuits
    WHERE tenant = %s AND at_ns < %s
) AS told WHERE back = 1 AND state IN ('open', 'half_open') ORDER BY at_ns DESC, process, seq DESC LIMIT %s;

-- name: forget
-- Those from before a moment.
DELETE FROM circuits WHERE at_ns < %s;
