-- phase: pre
-- Kept answers in the order in which they came: what is written, read by others and removed stands at the ends of the table, and only the short heads
-- of the keys, which are hashes, at random places. What was kept before is a cache and begins anew.
CREATE TABLE answers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    key BLOB NOT NULL,
    expires_ns INTEGER NOT NULL,
    value BLOB NOT NULL
);
CREATE INDEX answers_head ON answers (substr(key, 1, 8));
