-- name: merge
-- A batch's effect on one task: a new row, or counters added and the latest state put in. A parameter that is NULL leaves the
-- column as it is; `kind`, `tenant`, `created_ns` and the batch are those of the first record.
INSERT INTO tasks (
    id, tenant, kind, workflow, user, status, outcome, fence, wake_at_ns, created_ns, updated_ns, finished_ns, duration_us,
    batch, line, contract, confidence, tier, escalations, simulated, degraded, success, success_source,
    events, last_seq, model_calls, tool_calls, input_tokens, output_tokens,
    cost_nano_usd, simulated_nano_usd, saved_nano_usd, error, message, asked, doubted, priority, lock
) VALUES (
    :id, :tenant, :kind, :workflow, :user, COALESCE(:status, 'running'), COALESCE(:outcome, ''), :fence, COALESCE(:wake_at_ns, 0),
    :created_ns, :updated_ns, :finished_ns, CASE WHEN :finished_ns > 0 THEN MAX(0, :finished_ns - :created_ns) / 1000 ELSE 0 END,
    :batch, :line, :contract, :confidence, COALESCE(:tier, ''), COALESCE(:escalations, 0), COALESCE(:simulated, 0),
    COALESCE(:degraded, ''), :success, COALESCE(:success_source, ''),
    :events, :last_seq, :model_calls, :tool_calls, :input_tokens, :output_tokens,
    :cost_nano_usd, :simulated_nano_usd, :saved_nano_usd, COALESCE(:error, ''), COALESCE(:message, ''), :asked, :doubted,
    :priority, :lock
)
ON CONFLICT (id) DO UPDATE SET
    status = COALESCE(:status, status),
    outcome = COALESCE(:outcome, outcome),
    wake_at_ns = CASE
        WHEN :wake_at_ns IS NULL THEN wake_at_ns
        WHEN asked > 0 AND wake_at_ns > 0 AND :wake_at_ns > 0 THEN MIN(wake_at_ns, :wake_at_ns)
        ELSE :wake_at_ns
    END,
    updated_ns = MAX(updated_ns, :updated_ns),
    finished_ns = MAX(finished_ns, :finished_ns),
    duration_us = CASE WHEN :finished_ns > 0 THEN MAX(0, :finished_ns - created_ns) / 1000 ELSE duration_us END,
    owner = CASE WHEN :finished_ns > 0 THEN '' ELSE owner END,
    lease_until_ns = CASE WHEN :finished_ns > 0 THEN 0 ELSE lease_until_ns END,
    confidence = COALESCE(:confidence, confidence),
    tier = COALESCE(:tier, tier),
    escalations = COALESCE(:escalations, escalations),
    simulated = COALESCE(:simulated, simulated),
    degraded = COALESCE(:degraded, degraded),
    success = COALESCE(:success, success),
    success_source = COALESCE(:success_source, success_source),
    events = events + :events,
    last_seq = MAX(last_seq, :last_seq),
    model_calls = model_calls + :model_calls,
    tool_calls = tool_calls + :tool_calls,
    input_tokens = input_tokens + :input_tokens,
    output_tokens = output_tokens + :output_tokens,
    cost_nano_usd = cost_nano_usd + :cost_nano_usd,
    simulated_nano_usd = simulated_nano_usd + :simulated_nano_usd,
    saved_nano_usd = saved_nano_usd + :saved_nano_usd,
    error = COALESCE(:error, error),
    message = COALESCE(:message, message),
    asked = MAX(0, asked + :asked),
    doubted = MAX(0, doubted + :doubted),
    said = 1;

-- name: add
-- The same for a batch that only adds to a task that has a row: of one that is not over no index has to change, which spares pages.
UPDATE tasks SET
    updated_ns = MAX(updated_ns, :updated_ns),
    events = events + :events,
    last_seq = MAX(last_seq, :last_seq),
    model_calls = model_calls + :model_calls,
    tool_calls = tool_calls + :tool_calls,
    input_tokens = input_tokens + :input_tokens,
    output_tokens = output_tokens + :output_tokens,
    cost_nano_usd = cost_nano_usd + :cost_nano_usd,
    simulated_nano_usd = simulated_nano_usd + :simulated_nano_usd,
    saved_nano_usd = saved_nano_usd + :saved_nano_usd,
    said = 1
WHERE id = :id;

-- name: step
-- The same where that is under way and held under this fence; else no row.
UPDATE tasks SET
    updated_ns = MAX(updated_ns, ?),
    events = events + ?,
    last_seq = MAX(last_seq, ?),
    model_calls = model_calls + ?,
    tool_calls = tool_calls + ?,
    input_tokens = input_tokens + ?,
    output_tokens = output_tokens + ?,
    cost_nano_usd = cost_nano_usd + ?,
    simulated_nano_usd = simulated_nano_usd + ?,
    saved_nano_usd = saved_nano_usd + ?
WHERE tenant = ? AND id = ? AND fence = ? AND status <> 'finished';

-- name: lone
-- The row of a call that was a task of its own until now.
INSERT INTO tasks (
    id, tenant, kind, workflow, user, status, outcome, created_ns, updated_ns, finished_ns, duration_us,
    contract, confidence, tier, escalations, simulated, degraded, events, last_seq, model_calls, tool_calls,
    input_tokens, output_tokens, cost_nano_usd, simulated_nano_usd, saved_nano_usd, error, message
) VALUES (
    :id, :tenant, :kind, :workflow, :user, :status, :outcome, :created_ns, :updated_ns, :finished_ns, :duration_us,
    :contract, :confidence, :tier, :escalations, :simulated, :degraded, :events, :last_seq, :model_calls, :tool_calls,
    :input_tokens, :output_tokens, :cost_nano_usd, :simulated_nano_usd, :saved_nano_usd, :error, :message
);

-- name: settle_status
-- After the counters of open questions have changed: what the task waits for now.
UPDATE tasks SET
    status = CASE
        WHEN status = 'paused' THEN 'paused' WHEN doubted > 0 THEN 'in_doubt' WHEN asked > 0 THEN 'waiting' ELSE 'running'
    END,
    outcome = CASE WHEN asked > 0 THEN 'waiting_approval' ELSE '' END,
    wake_at_ns = CASE WHEN asked > 0 THEN wake_at_ns ELSE 0 END
WHERE id = ? AND status <> 'finished';

-- name: hold
-- Puts a lease on a task that has just been written.
UPDATE tasks SET owner = ?, lease_until_ns = ?, fence = ? WHERE id = ?;

-- name: lease
-- Who holds a task.
SELECT owner, lease_until_ns, fence, status FROM tasks WHERE id = ?;

-- name: behind
-- Whether an older task with the same lock is not over.
SELECT EXISTS (
    SELECT 1 FROM tasks AS t JOIN tasks AS o ON o.tenant = t.tenant AND o.lock = t.lock
    WHERE t.id = ? AND t.lock <> '' AND o.lock <> '' AND o.status <> 'finished' AND (o.created_ns, o.id) < (t.created_ns, t.id)
);

-- name: standing
-- The fences and states of tasks (a JSON list of ids) that have rows.
SELECT id, fence, status FROM tasks WHERE id IN (SELECT value FROM json_each(?));

-- name: renew
-- Extends a lease that is still held.
UPDATE tasks SET lease_until_ns = MAX(lease_until_ns, ?) WHERE id = ? AND owner = ? AND status <> 'finished';

-- name: release
-- Gives a lease back, and says when to look again.
UPDATE tasks SET owner = '', lease_until_ns = 0, wake_at_ns = COALESCE(?, wake_at_ns) WHERE id = ? AND fence = ?;

-- name: get
-- One task that has a row of its own.
SELECT * FROM tasks WHERE id = ?;

-- name: list
-- Tasks with rows of their own, newest first; an empty parameter does not filter.
SELECT * FROM tasks
WHERE created_ns >= :since_ns
  AND created_ns <= :last_ns
  AND NOT (:before_id <> '' AND created_ns = :last_ns AND id >= :before_id)
  AND (:tenant = '' OR tenant = :tenant)
  AND (:workflow = '' OR workflow = :workflow)
  AND (:user = '' OR user = :user)
  AND (:least_nano_usd = 0 OR cost_nano_usd + simulated_nano_usd >= :least_nano_usd)
  AND (:contract = '' OR contract = :contract)
  AND (:least_steps = 0 OR model_calls + tool_calls >= :least_steps)
  AND (:kind = '' OR kind = :kind)
  AND (:status = '' OR status = :status)
  AND (:outcome = '' OR outcome = :outcome)
  AND (:batch = '' OR batch = :batch)
ORDER BY created_ns DESC, id DESC LIMIT :limit;

-- name: unfinished
-- Tasks that are not over, oldest first.
SELECT * FROM tasks WHERE status <> 'finished' ORDER BY created_ns, id LIMIT ?;

-- name: runnable
-- Tasks that have a reason to go on, oldest first; whether their lease is free is decided by the caller. Each reason by an index of its
-- own: what waits costs nothing. A paused task wakes on a signal alone.
SELECT * FROM tasks WHERE id IN (
    SELECT id FROM tasks WHERE status <> 'finished' AND status = 'running' AND wake_at_ns <= :now_ns
    UNION
    SELECT id FROM tasks WHERE status <> 'finished' AND status IN ('waiting', 'in_doubt') AND wake_at_ns BETWEEN 1 AND :now_ns
    UNION
    SELECT t.id FROM signals AS s JOIN tasks AS t ON t.id = s.task WHERE s.consumed = 0 AND t.status <> 'finished'
)
ORDER BY created_ns, id LIMIT :limit;

-- name: of_batch
-- The tasks of one input file, by line.
SELECT * FROM tasks WHERE batch = ? AND batch <> '' ORDER BY line, id;

-- name: find
-- The task of one line of an input file.
SELECT * FROM tasks WHERE batch = ? AND line = ? AND batch <> '' ORDER BY created_ns DESC LIMIT 1;

-- name: ended
-- What the roll-up of finished tasks needs to know of these (a JSON list of ids).
SELECT tenant, workflow, outcome, tier, simulated, finished_ns, duration_us FROM tasks
WHERE id IN (SELECT value FROM json_each(?));

-- name: due
-- The same tasks, as far as whose turn it is: since when each is due, and who holds it. One with a lock does not begin while an older one with the same
-- lock is not over.
SELECT id, tenant, workflow, MIN(since_ns), priority, owner, lease_until_ns FROM (
    SELECT id, tenant, workflow, MAX(created_ns, wake_at_ns) AS since_ns, priority, owner, lease_until_ns, lock, created_ns
    FROM tasks WHERE status <> 'finished' AND status = 'running' AND wake_at_ns <= :now_ns
    UNION ALL
    SELECT id, tenant, workflow, wake_at_ns, priority, owner, lease_until_ns, lock, created_ns
    FROM tasks WHERE status <> 'finished' AND status IN ('waiting', 'in_doubt') AND wake_at_ns BETWEEN 1 AND :now_ns
    UNION ALL
    SELECT t.id, tenant, workflow, s.at_ns, priority, owner, lease_until_ns, lock, created_ns
    FROM signals AS s JOIN tasks AS t ON t.id = s.task WHERE s.consumed = 0 AND t.status <> 'finished'
) AS t
WHERE lock = '' OR NOT EXISTS (
    SELECT 1 FROM tasks AS o WHERE o.tenant = t.tenant AND o.lock = t.lock AND o.lock <> '' AND o.status <> 'finished'
      AND (o.created_ns, o.id) < (t.created_ns, t.id)
)
GROUP BY id;

-- name: held
-- The tenants and holders of tasks that are under way.
SELECT tenant, owner FROM tasks WHERE status <> 'finished' AND owner <> '' AND lease_until_ns > ?;

-- name: take
-- Puts a lease on a task that is free.
UPDATE tasks SET owner = ?, lease_until_ns = ?, fence = fence + 1 WHERE id = ?;
