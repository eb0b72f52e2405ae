-- name: get
-- A whole answer that has not expired.
SELECT value FROM cache WHERE tenant = ? AND key = ? AND expires_ns > ?;

-- name: put
-- Keeps a whole answer, replacing the one before.
INSERT INTO cache (tenant, key, expires_ns, value) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, key) DO UPDATE SET expires_ns = excluded.expires_ns, value = excluded.value;

-- name: put_all
-- The same for many at once: a JSON list of [tenant, key, expires_ns, begin, length], each value being a part of one blob. One statement, so that whoever else
-- runs Python in this process is interrupted once and not with every row.
INSERT INTO cache (tenant, key, expires_ns, value)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    substr(:values, json_extract(value, '$[3]'), json_extract(value, '$[4]'))
FROM json_each(:rows) WHERE TRUE
ON CONFLICT (tenant, key) DO UPDATE SET expires_ns = excluded.expires_ns, value = excluded.value;

-- name: keys
-- Keys of what expires later, by the index on expiry.
SELECT key FROM cache WHERE expires_ns > ? ORDER BY expires_ns DESC LIMIT ?;

-- name: purge
-- Removes what has expired.
DELETE FROM cache WHERE expires_ns <= ?;

-- name: trim
-- Keeps the given number of entries, those that live longest.
DELETE FROM cache WHERE rowid IN (SELECT rowid FROM cache ORDER BY expires_ns DESC LIMIT -1 OFFSET ?);

-- name: clear
-- Removes one tenant's answers, or everybody's.
DELETE FROM cache WHERE ? IN ('', tenant);
