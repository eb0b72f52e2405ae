-- name: get
-- A whole answer that has not expired.
SELECT value FROM cache WHERE tenant = ? AND key = ? AND expires_ns > ?;

-- name: put
-- Keeps a whole answer, replacing the one before.
INSERT INTO cache (tenant, key, expires_ns, value) VALUES (?, ?, ?, ?)
ON CONFLICT (tenant, key) DO UPDATE SET expires_ns = excluded.expires_ns, value = excluded.value;

-- name: put_all
-- The same for many of one tenant at once: all keys, each of `key_bytes`, and all values, each as one blob (in a text, the way to a place is walked from its beginning), and a JSON list of where each value begins and how long it is, as
-- one number. One statement, so that whoever else runs Python in this process is interrupted once and not with every row; flat, since taking a list apart for each row costs as much as writing it.
INSERT INTO cache (tenant, key, expires_ns, value)
SELECT :tenant, CAST(substr(:keys, key * :key_bytes + 1, :key_bytes) AS TEXT), :expires_ns, substr(:values, (value >> 32) + 1, value & 4294967295)
FROM json_each(:places) WHERE TRUE
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
