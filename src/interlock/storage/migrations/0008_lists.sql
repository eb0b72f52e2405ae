-- phase: cut
-- Lists read tasks and lone calls each from its own index: the database does not carry an ORDER BY into the union of both.

DROP VIEW every_task;

-- The calls that are a task of their own, as one.
CREATE VIEW lone_task AS
SELECT
    task AS id, tenant, 'call' AS kind, workflow, user, 'finished' AS status,
    CASE
        WHEN status IN ('ok', 'cache_hit') THEN CASE WHEN simulated THEN 'simulated' ELSE 'resolved' END
        WHEN status = 'client_gone' THEN 'cancelled'
        ELSE 'failed'
    END AS outcome,
    '' AS owner, 0 AS lease_until_ns, 0 AS fence, 0 AS wake_at_ns, started_ns AS created_ns, at_ns AS updated_ns,
    started_ns + duration_us * 1000 AS finished_ns, duration_us, '' AS batch, 0 AS line,
    coalesce(json_extract(event, '$.caller.versions.contract'), '') AS contract, json_extract(event, '$.confidence') AS confidence,
    tier, escalations, simulated, degraded, NULL AS success, '' AS success_source, 1 AS events, seq AS last_seq,
    kind = 'model' AS model_calls, kind <> 'model' AS tool_calls,
    input + cache_read + cache_write + cache_write_1h + input_image + input_audio AS input_tokens,
    output + reasoning + output_image + output_audio AS output_tokens,
    cost_nano_usd, simulated_nano_usd, saved_nano_usd,
    coalesce(json_extract(event, '$.error'), '') AS error, coalesce(json_extract(event, '$.message'), '') AS message,
    0 AS asked, 0 AS doubted
FROM events WHERE lone = 1;

-- Every task: those with a row of their own, and the calls that are one.
CREATE VIEW every_task AS
SELECT
    id, tenant, kind, workflow, user, status, outcome, owner, lease_until_ns, fence, wake_at_ns, created_ns, updated_ns,
    finished_ns, duration_us, batch, line, contract, confidence, tier, escalations, simulated, degraded, success, success_source,
    events, last_seq, model_calls, tool_calls, input_tokens, output_tokens, cost_nano_usd, simulated_nano_usd, saved_nano_usd,
    error, message, asked, doubted
FROM tasks
UNION ALL
SELECT * FROM lone_task;
