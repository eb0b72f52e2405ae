-- name: put
-- A text in the place of what was there.
INSERT INTO texts (tenant, kind, key, text, at_ns) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (tenant, kind, key) DO UPDATE SET text = excluded.text, at_ns = excluded.at_ns;

-- name: get
-- One text.
SELECT text FROM texts WHERE tenant = %s AND kind = %s AND key = %s;

-- name: all
-- A tenant's texts of a kind.
SELECT key, text FROM texts WHERE tenant = %s AND kind = %s ORDER BY key;

-- name: drop
-- Removes one text.
DELETE FROM texts WHERE tenant = %s AND kind = %s AND key = %s;
