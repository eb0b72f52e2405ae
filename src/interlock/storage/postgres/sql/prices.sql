-- name: put
-- Keeps a price under its version; a version never changes.
INSERT INTO prices (version, price) VALUES (%s, %s) ON CONFLICT (version) DO NOTHING;

-- name: get
-- The price of one version.
SELECT price FROM prices WHERE version = %s;
