-- name: get
-- A whole answer that has not expired.
SELECT value FROM cache WHERE tenant = %s AND key = %s AND expires_ns > %s;

-- name: put
-- Keeps a whole answer, replacing the one before.
INSERT INTO cache (tenant, key, expires_ns, value) VALUES (%s, %s, %s, %s)
ON CONFLICT (tenant, key) DO UPDATE SET expires_ns = excluded.expires_ns, value = excluded.value;

-- name: keys
-- Keys of what expires later, by the index on expiry.
SELECT key FROM cache WHERE expires_ns > %s ORDER BY expires_ns DESC LIMIT %s;

-- name: purge
-- Removes what has expired.
DELETE FROM cache WHERE expires_ns <= %s;

-- name: trim
-- Keeps the given number of entries, those that live longest.
DELETE FROM cache WHERE (tenant, key) IN (SELECT tenant, key FROM cache ORDER BY expires_ns DESC OFFSET %s);

-- name: clear
-- Removes one tenant's answers, or everybody's.
DELETE FROM cache WHERE %s::text IN ('', tenant);
