-- phase: pre
-- Long texts of what was said, once for each tenant: `name` is a keyed hash of tenant and text, `body` the text as it rests, `uses` how many kept
-- values refer to it. `said` takes the place of `content`, which holds what was kept before until `retention run` has packed it.
CREATE TABLE bodies (
    name TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    uses BIGINT NOT NULL,
    body BYTEA NOT NULL
) WITH (fillfactor = 70);
ALTER TABLE bodies ALTER COLUMN body SET STORAGE EXTERNAL;

-- What the names are made with: one row, once nobody works here who knows no bodies. Until then contents are kept as before.
CREATE TABLE body_secret (
    id INTEGER PRIMARY KEY,
    secret BYTEA NOT NULL
);

ALTER TABLE events ADD COLUMN said BYTEA;
ALTER TABLE calls ADD COLUMN said BYTEA;
CREATE INDEX events_old ON events (place) WHERE content IS NOT NULL;
CREATE INDEX calls_old ON calls (place) WHERE content IS NOT NULL;
CREATE INDEX events_said ON events (at_ns) WHERE said IS NOT NULL OR content IS NOT NULL;
CREATE INDEX calls_said ON calls (started_ns) WHERE said IS NOT NULL OR content IS NOT NULL;

-- What has been rolled off: raw rows that left for a file, or for good where `file` is empty. Their sums stay here, so that the ledger still adds up.
CREATE TABLE archives (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file TEXT NOT NULL,
    first_ns BIGINT NOT NULL,
    last_ns BIGINT NOT NULL,
    records BIGINT NOT NULL,
    tasks BIGINT NOT NULL,
    cost_nano_usd BIGINT NOT NULL,
    simulated_nano_usd BIGINT NOT NULL,
    at_ns BIGINT NOT NULL
);
