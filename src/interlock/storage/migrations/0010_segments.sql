-- phase: cut
-- Calls that are tasks of their own are kept in segments: one row per commit, tenant, workflow and minute of their start, instead of a row
-- each. And every record has a place: one number that grows from commit to commit over events and segments alike, so that a reader which
-- must miss nothing needs to remember one number.

-- The next place that is free. One row.
CREATE TABLE places (next INTEGER NOT NULL);
INSERT INTO places SELECT coalesce(max(rowid), 0) + 1 FROM events;

CREATE TEMP TABLE moving AS
SELECT *, (SELECT next FROM places) + ROW_NUMBER() OVER (ORDER BY tenant, workflow, part, started_ns, task) - 1 AS place,
    DENSE_RANK() OVER (ORDER BY tenant, workflow, part) AS segment
FROM (
    SELECT task, tenant, workflow, started_ns, at_ns, status, simulated, cost_nano_usd, simulated_nano_usd, event, content,
        started_ns / 60000000000 * 10000000 + (ROW_NUMBER() OVER (
            PARTITION BY tenant, workflow, started_ns / 60000000000 ORDER BY started_ns, task) - 1) / 256 AS part
    FROM events WHERE lone = 1
);
UPDATE places SET next = next + (SELECT COUNT(*) FROM moving);

-- `id` is the place of the first call, and the others follow. `calls` is a JSON list of [event, at_ns], compressed (zlib), with `null` for
-- a call that has got rows of its own since, because more became known of it; `n` counts those too. `contents` is the JSON list of what
-- was said in them, NULL where nothing is kept. The columns before let lists pass a segment over without opening it: `outcomes` is the sum
-- of 1 resolved, 2 simulated, 4 cancelled, 8 failed, as far as they occur.
CREATE TABLE segments (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    workflow TEXT NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    n INTEGER NOT NULL,
    outcomes INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    simulated_nano_usd INTEGER NOT NULL,
    most_nano_usd INTEGER NOT NULL,
    calls BLOB NOT NULL,
    contents TEXT
);

-- The place at which a lone call was written, and that it was written once; it stays when the call gets rows of its own.
CREATE TABLE lone (
    task TEXT PRIMARY KEY,
    place INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO segments
SELECT MIN(place), tenant, workflow, MIN(started_ns), MAX(started_ns), COUNT(*),
    MAX(status IN ('ok', 'cache_hit') AND NOT simulated) + 2 * MAX(status IN ('ok', 'cache_hit') AND simulated)
        + 4 * MAX(status = 'client_gone') + 8 * MAX(status NOT IN ('ok', 'cache_hit', 'client_gone')),
    SUM(cost_nano_usd), SUM(simulated_nano_usd), MAX(cost_nano_usd + simulated_nano_usd),
    segment_calls(place, '[' || event || ',' || at_ns || ']'), segment_contents(place, content)
FROM moving GROUP BY segment;

INSERT INTO lone SELECT task, place FROM moving;
DROP TABLE moving;

CREATE INDEX segments_recent ON segments (last_ns);
CREATE INDEX segments_of ON segments (tenant, workflow, last_ns);
CREATE INDEX segments_of_tenant ON segments (tenant, last_ns);
CREATE INDEX segments_unresolved ON segments (last_ns) WHERE outcomes > 3;

-- How many finished tasks share what comes before `n`, by the hour in which they were created: pages never count tasks.
-- `success` is -1 while nobody who knows has said.
CREATE TABLE outcomes (
    hour INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    workflow TEXT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    tier TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    success INTEGER NOT NULL,
    n INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    simulated_nano_usd INTEGER NOT NULL,
    model_calls INTEGER NOT NULL,
    escalations INTEGER NOT NULL,
    PRIMARY KEY (hour, tenant, workflow, kind, outcome, tier, simulated, success)
) WITHOUT ROWID;

INSERT INTO outcomes
SELECT created_ns / 3600000000000, tenant, workflow, kind, outcome, tier, simulated, coalesce(success, -1),
    COUNT(*), SUM(cost_nano_usd), SUM(simulated_nano_usd), SUM(model_calls), SUM(escalations)
FROM every_task WHERE status = 'finished'
GROUP BY created_ns / 3600000000000, tenant, workflow, kind, outcome, tier, simulated, coalesce(success, -1);

-- What happened inside calls, by the hour (see `core.meters`): merged into by the transaction that commits the calls.
CREATE TABLE meters (
    hour INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    workflow TEXT NOT NULL,
    meter TEXT NOT NULL,
    label TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (hour, tenant, workflow, meter, label)
) WITHOUT ROWID;

-- How far each reader that must miss nothing has got.
CREATE TABLE cursors (
    reader TEXT PRIMARY KEY,
    place TEXT NOT NULL
) WITHOUT ROWID;

-- Events with their place in the place of a row id, which nothing promised to keep.
DROP VIEW every_task;
DROP VIEW lone_task;

CREATE TABLE events_placed (
    place INTEGER PRIMARY KEY,
    task TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    event TEXT NOT NULL,
    content TEXT,
    workflow TEXT,
    tier TEXT,
    status TEXT,
    started_ns INTEGER,
    duration_us INTEGER,
    escalations INTEGER,
    simulated INTEGER,
    cost_nano_usd INTEGER,
    simulated_nano_usd INTEGER,
    UNIQUE (task, seq)
);

INSERT INTO events_placed
SELECT rowid, task, seq, at_ns, tenant, type, event, content, workflow, tier, status, started_ns, duration_us, escalations, simulated,
    cost_nano_usd, simulated_nano_usd
FROM events WHERE lone = 0;

DROP TABLE events;
ALTER TABLE events_placed RENAME TO events;
CREATE INDEX events_failed ON events (status, started_ns) WHERE status NOT IN ('ok', 'cache_hit');
