-- name: all
-- Every key, the oldest first.
SELECT record FROM keys ORDER BY created_ns, id;

-- name: put
-- One key, in place of an earlier one of that id.
INSERT INTO keys (id, created_ns, record) VALUES (%s, %s, %s)
ON CONFLICT (id) DO UPDATE SET record = excluded.record;

-- name: bump
-- Something has changed.
INSERT INTO stamps (name, version) VALUES ('keys', 1)
ON CONFLICT (name) DO UPDATE SET version = stamps.version + 1;

-- name: version
-- What the last change was.
SELECT version FROM stamps WHERE name = 'keys';
