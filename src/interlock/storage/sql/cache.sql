-- name: get
-- A whole answer that has not expired; of several under one key the newest.
SELECT value FROM answers
WHERE substr(key, 1, 8) = substr(:key, 1, 8) AND key = :key AND tenant = :tenant AND expires_ns > :now_ns
ORDER BY id DESC LIMIT 1;

-- name: put_all
-- Keeps many answers of one tenant: all keys, each of `key_bytes`, and all values, each as one blob (in a text, the way to a place is walked from
-- its beginning), and a JSON list of where each value begins and how long it is, as one number. One statement, so that whoever else runs Python in this process
-- is interrupted once and not with every row; flat, since taking a list apart for each row costs as much as writing it.
INSERT INTO answers (tenant, key, expires_ns, value)
SELECT :tenant, substr(:keys, key * :key_bytes + 1, :key_bytes), :expires_ns, substr(:values, (value >> 32) + 1, value & 4294967295)
FROM json_each(:places);

-- name: newest
-- The place that was given last, to whatever tenant's; it is not given again when its row is gone.
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'answers'), 0);

-- name: keys
-- Keys of what came later, of all tenants, newest first: whoever learns them asks for each within its tenant.
SELECT key, id FROM answers WHERE id > ? ORDER BY id DESC LIMIT ?;

-- name: purge
-- Removes what has expired, from the oldest on: all answers live for about as long. What expires sooner than those before it goes with them.
DELETE FROM answers WHERE id < coalesce((SELECT id FROM answers WHERE expires_ns > ? ORDER BY id LIMIT 1), 9223372036854775807);

-- name: trim
-- Keeps the given number of entries at most, those that came last.
DELETE FROM answers WHERE id <= (SELECT max(id) FROM answers) - ?;

-- name: count
-- How many answers of one tenant there are, or of everybody.
SELECT count(DISTINCT key) FROM answers WHERE ? IN ('', tenant);

-- name: clear
-- Removes one tenant's answers, or everybody's.
DELETE FROM answers WHERE ? IN ('', tenant);

-- name: is_there_before
-- Whether the table of before migration 0018 still stands: `migrate --post` drops it.
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'cache';

-- name: clear_before
-- What processes of before keep there is to be forgotten with the rest, though nobody of now reads it.
DELETE FROM cache WHERE ? IN ('', tenant);
