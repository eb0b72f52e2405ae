-- phase: pre
-- How urgent a task is beside others of its tenant, and behind which lock it waits its turn (core/events.py, Started).
ALTER TABLE tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN lock TEXT NOT NULL DEFAULT '';
CREATE INDEX tasks_locked ON tasks (tenant, lock, created_ns, id) WHERE lock <> '' AND status <> 'finished';
