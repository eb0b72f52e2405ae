-- phase: cut
-- The schema of SQLite's store (`../../migrations`) in PostgreSQL's words. Times are nanoseconds since the Unix epoch, durations microseconds,
-- money nano-dollars. Texts that are compared or sorted are in "C" collation, so both stores sort alike.

CREATE SEQUENCE places CACHE 1;

-- Every event of a task, one row each. `event` is the whole event as JSON. `era`, `xid` and `place` say in which order rows were committed: a row is
-- read by those who follow the ledger once every transaction that began before its own has ended.
CREATE TABLE events (
    task TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    event TEXT NOT NULL,
    content TEXT,
    cost_nano_usd BIGINT,
    simulated_nano_usd BIGINT,
    era INTEGER NOT NULL DEFAULT 1,
    xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
    place BIGINT NOT NULL DEFAULT nextval('places'),
    PRIMARY KEY (task, seq)
);

CREATE INDEX events_order ON events (era, xid, place);

-- Calls that are tasks of their own, one row each: the columns before `event` are what lists ask for. One of which more became known has `moved`
-- to the tables of tasks and events, with its place; its row stays, so that it is never written twice.
CREATE TABLE calls (
    task TEXT COLLATE "C" PRIMARY KEY,
    seq BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    workflow TEXT COLLATE "C" NOT NULL,
    "user" TEXT NOT NULL,
    outcome TEXT NOT NULL,
    started_ns BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    cost_nano_usd BIGINT NOT NULL,
    simulated_nano_usd BIGINT NOT NULL,
    event TEXT NOT NULL,
    content TEXT,
    moved BOOLEAN NOT NULL DEFAULT false,
    era INTEGER NOT NULL DEFAULT 1,
    xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
    place BIGINT NOT NULL DEFAULT nextval('places')
);

CREATE INDEX calls_order ON calls (era, xid, place);
CREATE INDEX calls_recent ON calls (started_ns, task) WHERE NOT moved;
CREATE INDEX calls_of_tenant ON calls (tenant, started_ns, task) WHERE NOT moved;

-- One row per task, kept by the same transaction that writes its events. Room is left on each page, since every step writes its task's row anew.
CREATE TABLE tasks (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    kind TEXT NOT NULL,
    workflow TEXT COLLATE "C" NOT NULL DEFAULT '',
    "user" TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL DEFAULT 'running',
    outcome TEXT NOT NULL DEFAULT '',
    owner TEXT COLLATE "C" NOT NULL DEFAULT '',
    lease_until_ns BIGINT NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL DEFAULT 0,
    wake_at_ns BIGINT NOT NULL DEFAULT 0,
    created_ns BIGINT NOT NULL DEFAULT 0,
    updated_ns BIGINT NOT NULL DEFAULT 0,
    finished_ns BIGINT NOT NULL DEFAULT 0,
    duration_us BIGINT NOT NULL DEFAULT 0,
    batch TEXT COLLATE "C" NOT NULL DEFAULT '',
    line BIGINT NOT NULL DEFAULT 0,
    contract TEXT NOT NULL DEFAULT '',
    confidence DOUBLE PRECISION,
    tier TEXT NOT NULL DEFAULT '',
    escalations BIGINT NOT NULL DEFAULT 0,
    simulated BOOLEAN NOT NULL DEFAULT false,
    degraded TEXT NOT NULL DEFAULT '',
    success BOOLEAN,
    success_source TEXT NOT NULL DEFAULT '',
    events BIGINT NOT NULL DEFAULT 0,
    last_seq BIGINT NOT NULL DEFAULT 0,
    model_calls BIGINT NOT NULL DEFAULT 0,
    tool_calls BIGINT NOT NULL DEFAULT 0,
    input_tokens BIGINT NOT NULL DEFAULT 0,
    output_tokens BIGINT NOT NULL DEFAULT 0,
    cost_nano_usd BIGINT NOT NULL DEFAULT 0,
    simulated_nano_usd BIGINT NOT NULL DEFAULT 0,
    saved_nano_usd BIGINT NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    asked BIGINT NOT NULL DEFAULT 0,
    doubted BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE INDEX tasks_recent ON tasks (created_ns, id);
CREATE INDEX tasks_open ON tasks (created_ns, id) WHERE status <> 'finished';
CREATE INDEX tasks_batch ON tasks (batch, line) WHERE batch <> '';
-- Which tasks are due: those that run, by their workflow; those that wait, by their time. What waits for longer is never looked at.
CREATE INDEX tasks_ready ON tasks (tenant, workflow, wake_at_ns, created_ns) WHERE status = 'running';
CREATE INDEX tasks_timed ON tasks (wake_at_ns) WHERE status IN ('waiting', 'in_doubt') AND wake_at_ns > 0;
CREATE INDEX tasks_held ON tasks (owner, tenant, lease_until_ns) WHERE owner <> '' AND status <> 'finished';

CREATE TABLE signals (
    task TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    name TEXT NOT NULL,
    payload TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    consumed BOOLEAN NOT NULL DEFAULT false,
    PRIMARY KEY (task, id)
);

CREATE INDEX signals_pending ON signals (task) WHERE NOT consumed;

-- Two distributions as one: counts by bucket.
CREATE FUNCTION merge_latency(ours JSONB, theirs JSONB) RETURNS JSONB LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_object_agg(bucket, n), '{}') FROM (
        SELECT key AS bucket, sum(value::bigint) AS n
        FROM (SELECT * FROM jsonb_each_text(ours) UNION ALL SELECT * FROM jsonb_each_text(theirs)) AS both_of_them
        GROUP BY key
    ) AS summed
$$;

-- Hourly sums, merged into at write time: pages and statements never scan events.
CREATE TABLE roll (
    hour BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    workflow TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    deployment TEXT COLLATE "C" NOT NULL,
    tier TEXT COLLATE "C" NOT NULL,
    simulated BOOLEAN NOT NULL,
    cache TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL,
    cost_nano_usd BIGINT NOT NULL,
    simulated_nano_usd BIGINT NOT NULL,
    saved_nano_usd BIGINT NOT NULL,
    usage BIGINT[] NOT NULL,
    lines BIGINT[] NOT NULL,
    latency JSONB NOT NULL,
    PRIMARY KEY (hour, tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status)
) WITH (fillfactor = 70);

-- Two lists of sums, place by place.
CREATE FUNCTION add_up(ours BIGINT[], theirs BIGINT[]) RETURNS BIGINT[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(coalesce(o, 0) + coalesce(t, 0) ORDER BY place) FROM unnest(ours, theirs) WITH ORDINALITY AS each_of(o, t, place)
$$;

-- How many finished tasks share what comes before `n`, by the hour in which they were created. `success` is -1 while nobody who knows has said.
CREATE TABLE outcomes (
    hour BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    workflow TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    tier TEXT COLLATE "C" NOT NULL,
    simulated BOOLEAN NOT NULL,
    success SMALLINT NOT NULL,
    n BIGINT NOT NULL,
    cost_nano_usd BIGINT NOT NULL,
    simulated_nano_usd BIGINT NOT NULL,
    model_calls BIGINT NOT NULL,
    escalations BIGINT NOT NULL,
    PRIMARY KEY (hour, tenant, workflow, kind, outcome, tier, simulated, success)
) WITH (fillfactor = 70);

-- What happened inside calls, by the hour.
CREATE TABLE meters (
    hour BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    workflow TEXT COLLATE "C" NOT NULL,
    meter TEXT COLLATE "C" NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (hour, tenant, workflow, meter, label)
) WITH (fillfactor = 70);

-- Every price that was ever applied, so that a sum can be worked out again years later.
CREATE TABLE prices (
    version TEXT COLLATE "C" PRIMARY KEY,
    price TEXT NOT NULL
);

CREATE TABLE cache (
    tenant TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    expires_ns BIGINT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (tenant, key)
);

CREATE INDEX cache_expiry ON cache (expires_ns);

-- Turns of conversations that go on by `previous_response_id`. `root` is the first turn: a conversation lives as long as its newest turn.
CREATE TABLE responses (
    id TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    key_id TEXT COLLATE "C" NOT NULL,
    previous TEXT COLLATE "C" NOT NULL,
    root TEXT COLLATE "C" NOT NULL,
    items BYTEA NOT NULL,
    output BYTEA NOT NULL,
    body BYTEA NOT NULL,
    created_ns BIGINT NOT NULL,
    expires_ns BIGINT NOT NULL,
    PRIMARY KEY (tenant, key_id, id)
);

CREATE INDEX responses_root ON responses (root, expires_ns);
CREATE INDEX responses_expiry ON responses (expires_ns);

-- Virtual keys, by id, and a number that changes with every write, so that other processes see that something has.
CREATE TABLE keys (
    id TEXT COLLATE "C" PRIMARY KEY,
    created_ns BIGINT NOT NULL,
    record TEXT NOT NULL
);

CREATE TABLE stamps (
    name TEXT COLLATE "C" PRIMARY KEY,
    version BIGINT NOT NULL
);

-- The semantic cache: answers with the vectors of their questions, and what each scope has learned about its own errors.
CREATE TABLE similar_answers (
    tenant TEXT COLLATE "C" NOT NULL,
    space TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    scope TEXT NOT NULL,
    expires_ns BIGINT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (tenant, space, id)
);

CREATE INDEX similar_expiry ON similar_answers (expires_ns);

CREATE TABLE similar_scope (
    tenant TEXT COLLATE "C" NOT NULL,
    scope TEXT COLLATE "C" NOT NULL,
    state BYTEA NOT NULL,
    PRIMARY KEY (tenant, scope)
);

-- Files of tenants; their bytes stand in a folder that all processes see.
CREATE TABLE files (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    purpose TEXT NOT NULL,
    name TEXT NOT NULL,
    size BIGINT NOT NULL,
    created_ns BIGINT NOT NULL,
    expires_ns BIGINT NOT NULL
);

CREATE INDEX files_tenant ON files (tenant, id);

-- Batches. `row` is the whole batch as its worker last wrote it; who holds it and the wish to cancel are others' to write.
CREATE TABLE batches (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    active BOOLEAN NOT NULL,
    cancelling_ns BIGINT NOT NULL DEFAULT 0,
    owner TEXT COLLATE "C" NOT NULL DEFAULT '',
    lease_until_ns BIGINT NOT NULL DEFAULT 0,
    "row" BYTEA NOT NULL
);

CREATE INDEX batches_tenant ON batches (tenant, id);
CREATE INDEX batches_active ON batches (id) WHERE active;

-- One row per request of a batch that is under way.
CREATE TABLE batch_lines (
    batch TEXT COLLATE "C" NOT NULL,
    line BIGINT NOT NULL,
    custom_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    size BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    status BIGINT NOT NULL,
    reply BYTEA NOT NULL,
    PRIMARY KEY (batch, line)
);

CREATE INDEX batch_lines_pending ON batch_lines (batch, line) WHERE status = 0;

-- One row for each receiver of a message, until it has taken it.
CREATE TABLE outbox (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT NOT NULL,
    task TEXT NOT NULL,
    step BIGINT NOT NULL,
    workflow TEXT NOT NULL,
    receiver TEXT NOT NULL,
    body TEXT NOT NULL,
    fence BIGINT NOT NULL,
    since_ns BIGINT NOT NULL,
    next_ns BIGINT NOT NULL,
    tries BIGINT NOT NULL
);

CREATE INDEX outbox_due ON outbox (next_ns);

-- Contracts by their content hash, and when each schedule last came due.
CREATE TABLE texts (
    tenant TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    text TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, key)
);

-- How far those who follow the ledger have got.
CREATE TABLE cursors (
    reader TEXT COLLATE "C" PRIMARY KEY,
    place TEXT NOT NULL
);

-- The database system in which rows are written now, and the number of its era: a dump that is put into another system begins a new one, since
-- transactions are counted anew there.
CREATE TABLE eras (
    era INTEGER PRIMARY KEY,
    system TEXT NOT NULL
);
