-- phase: pre
-- How urgent a task is beside others of its tenant (core/events.py, Started).
ALTER TABLE tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
