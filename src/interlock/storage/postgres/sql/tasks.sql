-- name: merge
-- A batch's effect on one task: a new row, or counters added and the latest state put in. A parameter that is NULL leaves the
-- column as it is; `kind`, `tenant`, `created_ns` and the batch are those of the first record.
INSERT INTO tasks AS t (
    id, tenant, kind, workflow, "user", status, outcome, fence, wake_at_ns, created_ns, updated_ns, finished_ns, duration_us,
    batch, line, contract, confidence, tier, escalations, simulated, degraded, success, success_source,
    events, last_seq, model_calls, tool_calls, input_tokens, output_tokens,
    cost_nano_usd, simulated_nano_usd, saved_nano_usd, error, message, asked, doubted, priority, lock
) VALUES (
    %(id)s, %(tenant)s, %(kind)s, %(workflow)s, %(user)s, coalesce(%(status)s::text, 'running'), coalesce(%(outcome)s::text, ''),
    %(fence)s, coalesce(%(wake_at_ns)s::bigint, 0), %(created_ns)s, %(updated_ns)s, %(finished_ns)s,
    CASE WHEN %(finished_ns)s::bigint > 0 THEN greatest(0, %(finished_ns)s::bigint - %(created_ns)s::bigint) / 1000 ELSE 0 END,
    %(batch)s, %(line)s, %(contract)s, %(confidence)s::double precision, coalesce(%(tier)s::text, ''),
    coalesce(%(escalations)s::bigint, 0), coalesce(%(simulated)s::boolean, false), coalesce(%(degraded)s::text, ''),
    %(success)s::boolean, coalesce(%(success_source)s::text, ''),
    %(events)s, %(last_seq)s, %(model_calls)s, %(tool_calls)s, %(input_tokens)s, %(output_tokens)s,
    %(cost_nano_usd)s, %(simulated_nano_usd)s, %(saved_nano_usd)s, coalesce(%(error)s::text, ''), coalesce(%(message)s::text, ''),
    %(asked)s, %(doubted)s, %(priority)s, %(lock)s
)
ON CONFLICT (id) DO UPDATE SET
    status = coalesce(%(status)s::text, t.status),
    outcome = coalesce(%(outcome)s::text, t.outcome),
    wake_at_ns = CASE
        WHEN %(wake_at_ns)s::bigint IS NULL THEN t.wake_at_ns
        WHEN t.asked > 0 AND t.wake_at_ns > 0 AND %(wake_at_ns)s::bigint > 0 THEN least(t.wake_at_ns, %(wake_at_ns)s::bigint)
        ELSE %(wake_at_ns)s::bigint
    END,
    updated_ns = greatest(t.updated_ns, excluded.updated_ns),
    finished_ns = greatest(t.finished_ns, excluded.finished_ns),
    duration_us = CASE
        WHEN excluded.finished_ns > 0 THEN greatest(0, excluded.finished_ns - t.created_ns) / 1000 ELSE t.duration_us
    END,
    owner = CASE WHEN excluded.finished_ns > 0 THEN '' ELSE t.owner END,
    lease_until_ns = CASE WHEN excluded.finished_ns > 0 THEN 0 ELSE t.lease_until_ns END,
    confidence = coalesce(excluded.confidence, t.confidence),
    tier = coalesce(%(tier)s::text, t.tier),
    escalations = coalesce(%(escalations)s::bigint, t.escalations),
    simulated = coalesce(%(simulated)s::boolean, t.simulated),
    degraded = coalesce(%(degraded)s::text, t.degraded),
    success = coalesce(excluded.success, t.success),
    success_source = coalesce(%(success_source)s::text, t.success_source),
    events = t.events + excluded.events,
    last_seq = greatest(t.last_seq, excluded.last_seq),
    model_calls = t.model_calls + excluded.model_calls,
    tool_calls = t.tool_calls + excluded.tool_calls,
    input_tokens = t.input_tokens + excluded.input_tokens,
    output_tokens = t.output_tokens + excluded.output_tokens,
    cost_nano_usd = t.cost_nano_usd + excluded.cost_nano_usd,
    simulated_nano_usd = t.simulated_nano_usd + excluded.simulated_nano_usd,
    saved_nano_usd = t.saved_nano_usd + excluded.saved_nano_usd,
    error = coalesce(%(error)s::text, t.error),
    message = coalesce(%(message)s::text, t.message),
    asked = greatest(0, t.asked + excluded.asked),
    doubted = greatest(0, t.doubted + excluded.doubted);

-- name: lone
-- The row of a call that was a task of its own until now.
INSERT INTO tasks (
    id, tenant, kind, workflow, "user", status, outcome, created_ns, updated_ns, finished_ns, duration_us,
    contract, confidence, tier, escalations, simulated, degraded, events, last_seq, model_calls, tool_calls,
    input_tokens, output_tokens, cost_nano_usd, simulated_nano_usd, saved_nano_usd, error, message
) VALUES (
    %(id)s, %(tenant)s, %(kind)s, %(workflow)s, %(user)s, %(status)s, %(outcome)s, %(created_ns)s, %(updated_ns)s, %(finished_ns)s,
    %(duration_us)s, %(contract)s, %(confidence)s, %(tier)s, %(escalations)s, %(simulated)s, %(degraded)s, %(events)s, %(last_seq)s,
    %(model_calls)s, %(tool_calls)s, %(input_tokens)s, %(output_tokens)s, %(cost_nano_usd)s, %(simulated_nano_usd)s,
    %(saved_nano_usd)s, %(error)s, %(message)s
);

-- name: settle_status
-- After the counters of open questions have changed: what these tasks wait for now.
UPDATE tasks SET
    status = CASE
        WHEN status = 'paused' THEN 'paused' WHEN doubted > 0 THEN 'in_doubt' WHEN asked > 0 THEN 'waiting' ELSE 'running'
    END,
    outcome = CASE WHEN asked > 0 THEN 'waiting_approval' ELSE '' END,
    wake_at_ns = CASE WHEN asked > 0 THEN wake_at_ns ELSE 0 END
WHERE id = ANY(%s) AND status <> 'finished';

-- name: alone
-- Nobody else begins a task of that id before this transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended(%s, 0));

-- name: hold
-- Puts a lease on a task.
UPDATE tasks SET owner = %s, lease_until_ns = %s, fence = %s WHERE id = %s;

-- name: lease
-- Who holds these tasks; nobody else changes them before this transaction ends. In one order, so that no two wait for each other.
SELECT id, owner, lease_until_ns, fence, status FROM tasks WHERE id = ANY(%s) ORDER BY id FOR UPDATE;

-- name: behind
-- Whether an older task with the same lock is not over.
SELECT EXISTS (
    SELECT FROM tasks AS t JOIN tasks AS o ON o.tenant = t.tenant AND o.lock = t.lock
    WHERE t.id = %s AND t.lock <> '' AND o.lock <> '' AND o.status <> 'finished' AND (o.created_ns, o.id) < (t.created_ns, t.id)
);

-- name: known
-- Those of the given tasks that have a row.
SELECT id FROM tasks WHERE id = ANY(%s);

-- name: renew
-- Extends leases that are still held; gives the tasks.
WITH held AS (
    SELECT id FROM tasks WHERE id = ANY(%(tasks)s) AND owner = %(owner)s AND status <> 'finished' ORDER BY id FOR UPDATE
)
UPDATE tasks SET lease_until_ns = greatest(lease_until_ns, %(lease_until_ns)s) FROM held WHERE tasks.id = held.id RETURNING tasks.id;

-- name: release
-- Gives a lease back, and says when to look again; whoever listens hears of a task that goes on at once.
WITH released AS (
    UPDATE tasks SET owner = '', lease_until_ns = 0, wake_at_ns = coalesce(%s::bigint, wake_at_ns) WHERE id = %s AND fence = %s
    RETURNING status, wake_at_ns
)
SELECT CASE WHEN wake_at_ns = 1 OR (status = 'running' AND wake_at_ns = 0) THEN pg_notify('interlock_due', '') END FROM released;

-- name: get
-- One task that has a row of its own.
SELECT * FROM tasks WHERE id = %s;

-- name: list
-- Tasks with rows of their own, newest first; an empty parameter does not filter.
SELECT * FROM tasks
WHERE created_ns >= %(since_ns)s
  AND created_ns <= %(last_ns)s
  AND NOT (%(before_id)s::text <> '' AND created_ns = %(last_ns)s AND id >= %(before_id)s)
  AND (%(tenant)s::text = '' OR tenant = %(tenant)s)
  AND (%(workflow)s::text = '' OR workflow = %(workflow)s)
  AND (%(user)s::text = '' OR "user" = %(user)s)
  AND (%(least_nano_usd)s = 0 OR cost_nano_usd + simulated_nano_usd >= %(least_nano_usd)s)
  AND (%(contract)s::text = '' OR contract = %(contract)s)
  AND (%(least_steps)s = 0 OR model_calls + tool_calls >= %(least_steps)s)
  AND (%(kind)s::text = '' OR kind = %(kind)s)
  AND (%(status)s::text = '' OR status = %(status)s)
  AND (%(outcome)s::text = '' OR outcome = %(outcome)s)
  AND (%(batch)s::text = '' OR batch = %(batch)s)
ORDER BY created_ns DESC, id DESC LIMIT %(limit)s;

-- name: unfinished
-- Tasks that are not over, oldest first.
SELECT * FROM tasks WHERE status <> 'finished' ORDER BY created_ns, id LIMIT %s;

-- name: runnable
-- Tasks that have a reason to go on, oldest first; whether their lease is free is decided by the caller. Each reason by an index of its
-- own: what waits costs nothing. A paused task wakes on a signal alone.
SELECT * FROM tasks WHERE id IN (
    SELECT id FROM tasks WHERE status = 'running' AND wake_at_ns <= %(now_ns)s
    UNION
    SELECT id FROM tasks WHERE status IN ('waiting', 'in_doubt') AND wake_at_ns > 0 AND wake_at_ns <= %(now_ns)s
    UNION
    SELECT t.id FROM signals AS s JOIN tasks AS t ON t.id = s.task WHERE NOT s.consumed AND t.status <> 'finished'
)
ORDER BY created_ns, id;

-- name: of_batch
-- The tasks of one input file, by line.
SELECT * FROM tasks WHERE batch = %s AND batch <> '' ORDER BY line, id;

-- name: find
-- The task of one line of an input file.
SELECT * FROM tasks WHERE batch = %s AND line = %s AND batch <> '' ORDER BY created_ns DESC LIMIT 1;

-- name: ended
-- What the roll-up of finished tasks needs to know of them.
SELECT id, tenant, workflow, outcome, tier, simulated, finished_ns, duration_us FROM tasks WHERE id = ANY(%s);

-- name: taking
-- Takes are one after the other, so that together they keep to each tenant's bound.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' interlock take', 0));

-- name: take
-- Puts leases on tasks of the served workflows that have a reason to go on and that nobody holds: again and again one of the tenant that has the fewest
-- under way, its most urgent first, then its oldest (`storage/fair.py` says the same). Each reason by an index of its own: what waits costs nothing. A paused
-- task wakes on a signal alone; one with a lock does not begin while an older one with the same lock is not over. Of each reason some more than wanted are
-- looked at, since others may be taking the first of them at this moment. Gives who holds tasks and how many could have been taken, and beside it each task
-- that was, as it is now.
WITH served AS (
    SELECT * FROM unnest(%(tenants)s::text[], %(workflows)s::text[], %(urgencies)s::bigint[]) AS s(tenant, workflow, urgency)
),
held AS MATERIALIZED (
    SELECT owner, tenant, count(*) FILTER (WHERE lease_until_ns > %(now_ns)s AND NOT owner = ANY(%(gone)s)) AS tasks
    FROM tasks WHERE owner <> '' AND status <> 'finished' GROUP BY owner, tenant
),
busy AS (SELECT tenant, sum(tasks)::bigint AS tasks FROM held GROUP BY tenant),
found AS (
    SELECT each.id, served.tenant, served.urgency + each.priority AS urgency, each.since_ns FROM served CROSS JOIN LATERAL (
        (SELECT id, priority, created_ns AS since_ns FROM tasks AS t
         WHERE status = 'running' AND owner = '' AND tenant = served.tenant AND workflow = served.workflow AND wake_at_ns = 0
           AND NOT id = ANY(%(but)s) AND (lock = '' OR NOT EXISTS (
                 SELECT FROM tasks AS o WHERE o.tenant = t.tenant AND o.lock = t.lock AND o.lock <> '' AND o.status <> 'finished'
                   AND (o.created_ns, o.id) < (t.created_ns, t.id)
             ))
         ORDER BY priority DESC, created_ns LIMIT %(most)s)
        UNION ALL
        (SELECT id, priority, wake_at_ns FROM tasks AS t
         WHERE status = 'running' AND owner = '' AND tenant = served.tenant AND workflow = served.workflow
           AND wake_at_ns BETWEEN 1 AND %(due_ns)s AND NOT id = ANY(%(but)s) AND (lock = '' OR NOT EXISTS (
                 SELECT FROM tasks AS o WHERE o.tenant = t.tenant AND o.lock = t.lock AND o.lock <> '' AND o.status <> 'finished'
                   AND (o.created_ns, o.id) < (t.created_ns, t.id)
             ))
         ORDER BY priority DESC, wake_at_ns LIMIT %(most)s)
    ) AS each
    UNION ALL
    (SELECT id, tenant, urgency + priority, wake_at_ns FROM tasks JOIN served USING (tenant, workflow)
     WHERE status IN ('waiting', 'in_doubt') AND wake_at_ns > 0 AND wake_at_ns <= %(due_ns)s
       AND (owner = '' OR lease_until_ns <= %(now_ns)s OR owner = ANY(%(gone)s)) AND NOT id = ANY(%(but)s)
     ORDER BY urgency + priority DESC, wake_at_ns LIMIT %(most)s)
    UNION ALL
    (SELECT id, tenant, urgency + priority, greatest(created_ns, wake_at_ns) FROM tasks AS t JOIN served USING (tenant, workflow)
     WHERE owner <> '' AND status <> 'finished' AND status = 'running' AND wake_at_ns <= %(due_ns)s
       AND (lease_until_ns <= %(now_ns)s OR owner = ANY(%(gone)s)) AND NOT id = ANY(%(but)s)
       AND (lock = '' OR NOT EXISTS (
             SELECT FROM tasks AS o WHERE o.tenant = t.tenant AND o.lock = t.lock AND o.lock <> '' AND o.status <> 'finished'
               AND (o.created_ns, o.id) < (t.created_ns, t.id)
         )))
    UNION ALL
    (SELECT id, tenant, urgency + priority, told.since_ns FROM
         (SELECT task, min(at_ns) AS since_ns FROM signals WHERE NOT consumed GROUP BY task) AS told
         JOIN tasks AS t ON id = task JOIN served USING (tenant, workflow)
     WHERE status <> 'finished' AND (owner = '' OR lease_until_ns <= %(now_ns)s OR owner = ANY(%(gone)s)) AND NOT id = ANY(%(but)s)
       AND (lock = '' OR NOT EXISTS (
             SELECT FROM tasks AS o WHERE o.tenant = t.tenant AND o.lock = t.lock AND o.lock <> '' AND o.status <> 'finished'
               AND (o.created_ns, o.id) < (t.created_ns, t.id)
         ))
     ORDER BY urgency + priority DESC, told.since_ns LIMIT %(most)s)
),
lines AS (
    SELECT id, urgency, since_ns,
        row_number() OVER (PARTITION BY tenant ORDER BY urgency DESC, since_ns, id) - 1 + coalesce(busy.tasks, 0) AS turn
    FROM (SELECT id, tenant, urgency, min(since_ns) AS since_ns FROM found GROUP BY id, tenant, urgency) AS due LEFT JOIN busy USING (tenant)
),
turns AS MATERIALIZED (SELECT * FROM lines WHERE %(per_tenant)s = 0 OR turn < %(per_tenant)s),
free AS MATERIALIZED (
    SELECT tasks.id FROM (SELECT * FROM turns ORDER BY turn, urgency DESC, since_ns, id LIMIT %(most)s) AS first
    JOIN tasks ON tasks.id = first.id
    WHERE status <> 'finished' AND (owner = '' OR lease_until_ns <= %(now_ns)s OR owner = ANY(%(gone)s))
    ORDER BY turn, urgency DESC, since_ns, first.id LIMIT %(limit)s FOR UPDATE OF tasks SKIP LOCKED
),
taken AS (
    UPDATE tasks SET owner = %(owner)s, lease_until_ns = %(until_ns)s, fence = fence + 1
    FROM free WHERE tasks.id = free.id RETURNING tasks.*
)
SELECT ARRAY(SELECT DISTINCT owner FROM held), (SELECT count(*) FROM turns), taken.* FROM (SELECT 1) AS once LEFT JOIN taken ON true;
