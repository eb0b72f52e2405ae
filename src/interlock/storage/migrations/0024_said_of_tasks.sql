-- phase: post
-- Nobody looks for what was said by event any more.
DROP INDEX events_said;
