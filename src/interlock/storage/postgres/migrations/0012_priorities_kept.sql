-- phase: post
-- Processes of before look for due tasks by this one.
DROP INDEX tasks_ready;
