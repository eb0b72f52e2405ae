-- phase: pre
-- How urgent a task is beside others of its tenant, and behind which lock it waits its turn (core/events.py, Started); the tasks that run and that nobody
-- holds, in the order in which they are taken; those of each lock.
ALTER TABLE tasks ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN lock TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX tasks_locked ON tasks (tenant, lock, created_ns, id) WHERE lock <> '' AND status <> 'finished';
CREATE INDEX tasks_free ON tasks (tenant, workflow, wake_at_ns, priority DESC, created_ns) WHERE status = 'running' AND owner = '';

-- What processes of before have prepared with all columns of a task would be refused on the connections that they have ("cached plan must not change
-- result type"). These end, as they do when the server is restarted, and new ones are made.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
  AND CASE WHEN application_name ~ '^interlock (read|write)( [0-9]+)?$'
      THEN coalesce(nullif(split_part(application_name, ' ', 3), '')::integer, 0) < 11 ELSE false END;
