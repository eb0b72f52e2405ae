-- name: put
-- A text in the place of what was there.
INSERT INTO texts (tenant, kind, key, text, at_ns) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (tenant, kind, key) DO UPDATE SET text = excluded.text, at_ns = excluded.at_ns;

-- name: get
-- One text.
SELECT text FROM texts WHERE tenant = ? AND kind = ? AND key = ?;

-- name: all
-- A tenant's texts of a kind.
SELECT key, text FROM texts WHERE tenant = ? AND kind = ? ORDER BY key;

-- name: drop
-- Removes one text.
DELETE FROM texts WHERE tenant = ? AND kind = ? AND key = ?;
