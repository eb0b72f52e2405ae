-- phase: pre
-- Whether something may still be kept of what was said in a task, by which what is to be forgotten is found: the events themselves need no index for it,
-- which each of them would be put into. Only a task that ends, or is forgotten, changes this one.
ALTER TABLE tasks ADD COLUMN said INTEGER NOT NULL DEFAULT 1;
CREATE INDEX tasks_said ON tasks (created_ns) WHERE status = 'finished' AND said = 1;
