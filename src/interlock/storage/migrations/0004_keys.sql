-- phase: cut
-- Virtual keys, by id, and a number that changes with every write, so that other processes see that something has.
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    created_ns INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE stamps (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) WITHOUT ROWID;
