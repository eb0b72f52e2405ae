-- phase: cut
-- The first schema. Times are nanoseconds since the Unix epoch, durations microseconds, money nano-dollars.

-- The ledger and every task's log: one row per event. `event` is the whole event as JSON; the columns after `content` are
-- filled for settled calls only, so that sums and lists need not open the JSON. Unlike the others the table has row ids: rows of
-- a thousand bytes would spill out of the key's own pages, which costs three times as much to write.
CREATE TABLE events (
    task TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    event TEXT NOT NULL,
    content TEXT,
    user TEXT,
    workflow TEXT,
    kind TEXT,
    name TEXT,
    deployment TEXT,
    tier TEXT,
    status TEXT,
    started_ns INTEGER,
    duration_us INTEGER,
    input INTEGER,
    cache_read INTEGER,
    cache_write INTEGER,
    cache_write_1h INTEGER,
    output INTEGER,
    reasoning INTEGER,
    input_image INTEGER,
    input_audio INTEGER,
    output_image INTEGER,
    output_audio INTEGER,
    compute_ms INTEGER,
    cost_nano_usd INTEGER,
    simulated_nano_usd INTEGER,
    reserved_nano_usd INTEGER,
    saved_nano_usd INTEGER,
    simulated INTEGER,
    degraded TEXT,
    cache TEXT,
    price TEXT,
    PRIMARY KEY (task, seq)
);

-- Calls that went wrong, newest first, without a scan of those that did not.
CREATE INDEX events_failed ON events (status, started_ns) WHERE status NOT IN ('ok', 'cache_hit');

-- One row per task, kept by the same transaction that writes its events.
CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    workflow TEXT NOT NULL DEFAULT '',
    user TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'running',
    outcome TEXT NOT NULL DEFAULT '',
    owner TEXT NOT NULL DEFAULT '',
    lease_until_ns INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    wake_at_ns INTEGER NOT NULL DEFAULT 0,
    created_ns INTEGER NOT NULL DEFAULT 0,
    updated_ns INTEGER NOT NULL DEFAULT 0,
    finished_ns INTEGER NOT NULL DEFAULT 0,
    duration_us INTEGER NOT NULL DEFAULT 0,
    batch TEXT NOT NULL DEFAULT '',
    line INTEGER NOT NULL DEFAULT 0,
    contract TEXT NOT NULL DEFAULT '',
    confidence REAL,
    tier TEXT NOT NULL DEFAULT '',
    escalations INTEGER NOT NULL DEFAULT 0,
    simulated INTEGER NOT NULL DEFAULT 0,
    degraded TEXT NOT NULL DEFAULT '',
    success INTEGER,
    success_source TEXT NOT NULL DEFAULT '',
    events INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL DEFAULT 0,
    model_calls INTEGER NOT NULL DEFAULT 0,
    tool_calls INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cost_nano_usd INTEGER NOT NULL DEFAULT 0,
    simulated_nano_usd INTEGER NOT NULL DEFAULT 0,
    saved_nano_usd INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    asked INTEGER NOT NULL DEFAULT 0,
    doubted INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX tasks_recent ON tasks (created_ns);
CREATE INDEX tasks_open ON tasks (created_ns) WHERE status <> 'finished';
CREATE INDEX tasks_batch ON tasks (batch, line) WHERE batch <> '';

-- Hourly sums, merged into at write time: pages and statements never scan events.
CREATE TABLE roll (
    hour INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    workflow TEXT NOT NULL,
    role TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    deployment TEXT NOT NULL,
    tier TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    cache TEXT NOT NULL,
    status TEXT NOT NULL,
    n INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    simulated_nano_usd INTEGER NOT NULL,
    saved_nano_usd INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    input_image INTEGER NOT NULL,
    input_audio INTEGER NOT NULL,
    output_image INTEGER NOT NULL,
    output_audio INTEGER NOT NULL,
    compute_ms INTEGER NOT NULL,
    line_input INTEGER NOT NULL,
    line_cache_read INTEGER NOT NULL,
    line_cache_write INTEGER NOT NULL,
    line_cache_write_1h INTEGER NOT NULL,
    line_output INTEGER NOT NULL,
    line_reasoning INTEGER NOT NULL,
    line_input_image INTEGER NOT NULL,
    line_input_audio INTEGER NOT NULL,
    line_output_image INTEGER NOT NULL,
    line_output_audio INTEGER NOT NULL,
    line_compute_ms INTEGER NOT NULL,
    line_other INTEGER NOT NULL,
    latency BLOB NOT NULL,
    PRIMARY KEY (hour, tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status)
) WITHOUT ROWID;

CREATE TABLE signals (
    task TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    consumed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (task, id)
) WITHOUT ROWID;

CREATE INDEX signals_pending ON signals (task) WHERE consumed = 0;

-- Every price that was ever applied, so that a sum can be worked out again years later.
CREATE TABLE prices (
    version TEXT PRIMARY KEY,
    price TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE cache (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    expires_ns INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (tenant, key)
) WITHOUT ROWID;

CREATE INDEX cache_expiry ON cache (expires_ns);
