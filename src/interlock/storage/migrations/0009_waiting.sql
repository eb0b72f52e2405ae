-- phase: cut
-- Messages that have to be told, texts that have to be found again, and an index by which tasks that wait cost nothing to look over.

-- One row for each receiver of a message, until it has taken it.
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    task TEXT NOT NULL,
    step INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    receiver TEXT NOT NULL,
    body TEXT NOT NULL,
    fence INTEGER NOT NULL,
    since_ns INTEGER NOT NULL,
    next_ns INTEGER NOT NULL,
    tries INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX outbox_due ON outbox (next_ns);

-- Contracts by their content hash, and when each schedule last came due.
CREATE TABLE texts (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    text TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    PRIMARY KEY (tenant, kind, key)
) WITHOUT ROWID;

-- Which tasks are due, without a look at those that are not.
CREATE INDEX tasks_due ON tasks (status, wake_at_ns) WHERE status <> 'finished';
