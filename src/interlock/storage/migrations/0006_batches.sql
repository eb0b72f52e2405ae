-- phase: cut
-- Files of tenants; their bytes stand beside the database.
CREATE TABLE files (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    purpose TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX files_tenant ON files (tenant, id);

-- Batches. `row` is the whole batch as its worker last wrote it; who holds it and the wish to cancel are others' to write.
CREATE TABLE batches (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    active INTEGER NOT NULL,
    cancelling_ns INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL DEFAULT '',
    lease_until_ns INTEGER NOT NULL DEFAULT 0,
    row BLOB NOT NULL
);

CREATE INDEX batches_tenant ON batches (tenant, id);
CREATE INDEX batches_active ON batches (id) WHERE active = 1;

-- One row per request of a batch that is under way.
CREATE TABLE batch_lines (
    batch TEXT NOT NULL,
    line INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    status INTEGER NOT NULL,
    reply BLOB NOT NULL,
    PRIMARY KEY (batch, line)
);

CREATE INDEX batch_lines_pending ON batch_lines (batch, line) WHERE status = 0;
