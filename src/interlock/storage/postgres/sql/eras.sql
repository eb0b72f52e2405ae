-- name: system
-- Which database system this is.
SELECT system_identifier::text FROM pg_control_system();

-- name: last
-- The newest era and the system in which it began.
SELECT era, system FROM eras ORDER BY era DESC LIMIT 1;

-- name: begin
-- An era begins.
INSERT INTO eras (era, system) VALUES (%s, %s);
