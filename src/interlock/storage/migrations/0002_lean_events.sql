-- phase: cut
-- An event's row holds what lists and sums look at; every other column of old is read out of the event when somebody asks, which
-- halves the cost of writing one. A call that is a task of its own is one row and no more: `lone` is 1, and the view shows it as a task.
CREATE TABLE events_lean (
    task TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    event TEXT NOT NULL,
    content TEXT,
    lone INTEGER NOT NULL,
    workflow TEXT,
    tier TEXT,
    status TEXT,
    started_ns INTEGER,
    duration_us INTEGER,
    escalations INTEGER,
    simulated INTEGER,
    cost_nano_usd INTEGER,
    simulated_nano_usd INTEGER,
    user TEXT AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.caller.user'), '') END),
    kind TEXT AS (CASE WHEN type = 'settled' THEN json_extract(event, '$.kind') END),
    name TEXT AS (CASE WHEN type = 'settled' THEN json_extract(event, '$.name') END),
    deployment TEXT AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.deployment'), '') END),
    input INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.input'), 0) END),
    cache_read INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.cache_read'), 0) END),
    cache_write INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.cache_write'), 0) END),
    cache_write_1h INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.cache_write_1h'), 0) END),
    output INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.output'), 0) END),
    reasoning INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.reasoning'), 0) END),
    input_image INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.input_image'), 0) END),
    input_audio INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.input_audio'), 0) END),
    output_image INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.output_image'), 0) END),
    output_audio INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.output_audio'), 0) END),
    compute_ms INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.usage.compute_ms'), 0) END),
    reserved_nano_usd INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.reserved_nano_usd'), 0) END),
    saved_nano_usd INTEGER AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.saved_nano_usd'), 0) END),
    degraded TEXT AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.degraded'), '') END),
    cache TEXT AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.cache'), '') END),
    price TEXT AS (CASE WHEN type = 'settled' THEN coalesce(json_extract(event, '$.price'), '') END),
    PRIMARY KEY (task, seq)
);

INSERT INTO events_lean (
    task, seq, at_ns, tenant, type, event, content, lone, workflow, tier, status, started_ns, duration_us,
    escalations, simulated, cost_nano_usd, simulated_nano_usd
)
SELECT
    task, seq, at_ns, tenant, type, event, content, 0, workflow, tier, status, started_ns, duration_us,
    CASE WHEN type = 'settled' THEN coalesce(json_array_length(event, '$.escalations'), 0) END,
    simulated, cost_nano_usd, simulated_nano_usd
FROM events;

DROP TABLE events;
ALTER TABLE events_lean RENAME TO events;

CREATE INDEX events_failed ON events (status, started_ns) WHERE status NOT IN ('ok', 'cache_hit');
CREATE INDEX events_lone ON events (started_ns) WHERE lone = 1;

-- Every task: those with a row of their own, and the calls that are one.
CREATE VIEW every_task AS
SELECT
    id, tenant, kind, workflow, user, status, outcome, owner, lease_until_ns, fence, wake_at_ns, created_ns, updated_ns,
    finished_ns, duration_us, batch, line, contract, confidence, tier, escalations, simulated, degraded, success, success_source,
    events, last_seq, model_calls, tool_calls, input_tokens, output_tokens, cost_nano_usd, simulated_nano_usd, saved_nano_usd,
    error, message, asked, doubted
FROM tasks
UNION ALL
SELECT
    task, tenant, 'call', workflow, user, 'finished',
    CASE
        WHEN status IN ('ok', 'cache_hit') THEN CASE WHEN simulated THEN 'simulated' ELSE 'resolved' END
        WHEN status = 'client_gone' THEN 'cancelled'
        ELSE 'failed'
    END,
    '', 0, 0, 0, started_ns, at_ns, started_ns + duration_us * 1000, duration_us, '', 0,
    coalesce(json_extract(event, '$.caller.versions.contract'), ''), json_extract(event, '$.confidence'), tier, escalations,
    simulated, degraded, NULL, '', 1, seq, kind = 'model', kind <> 'model',
    input + cache_read + cache_write + cache_write_1h + input_image + input_audio,
    output + reasoning + output_image + output_audio,
    cost_nano_usd, simulated_nano_usd, saved_nano_usd,
    coalesce(json_extract(event, '$.error'), ''), coalesce(json_extract(event, '$.message'), ''), 0, 0
FROM events WHERE lone = 1;
