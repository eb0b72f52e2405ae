-- name: merge
-- Adds one batch's share to an hour; distributions are merged by the function `merge_latency`.
INSERT INTO roll VALUES (
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
    ?
)
ON CONFLICT (hour, tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status) DO UPDATE SET
    n = n + excluded.n,
    cost_nano_usd = cost_nano_usd + excluded.cost_nano_usd,
    simulated_nano_usd = simulated_nano_usd + excluded.simulated_nano_usd,
    saved_nano_usd = saved_nano_usd + excluded.saved_nano_usd,
    input = input + excluded.input,
    cache_read = cache_read + excluded.cache_read,
    cache_write = cache_write + excluded.cache_write,
    cache_write_1h = cache_write_1h + excluded.cache_write_1h,
    output = output + excluded.output,
    reasoning = reasoning + excluded.reasoning,
    input_image = input_image + excluded.input_image,
    input_audio = input_audio + excluded.input_audio,
    output_image = output_image + excluded.output_image,
    output_audio = output_audio + excluded.output_audio,
    compute_ms = compute_ms + excluded.compute_ms,
    line_input = line_input + excluded.line_input,
    line_cache_read = line_cache_read + excluded.line_cache_read,
    line_cache_write = line_cache_write + excluded.line_cache_write,
    line_cache_write_1h = line_cache_write_1h + excluded.line_cache_write_1h,
    line_output = line_output + excluded.line_output,
    line_reasoning = line_reasoning + excluded.line_reasoning,
    line_input_image = line_input_image + excluded.line_input_image,
    line_input_audio = line_input_audio + excluded.line_input_audio,
    line_output_image = line_output_image + excluded.line_output_image,
    line_output_audio = line_output_audio + excluded.line_output_audio,
    line_compute_ms = line_compute_ms + excluded.line_compute_ms,
    line_other = line_other + excluded.line_other,
    latency = merge_latency(latency, excluded.latency);

-- name: took
-- Adds calls that used nothing to an hour that has others of their kind.
UPDATE roll SET n = n + ?, latency = merge_latency(latency, ?)
WHERE hour = ? AND tenant = ? AND workflow = ? AND role = ? AND kind = ? AND name = ?
  AND deployment = ? AND tier = ? AND simulated = ? AND cache = ? AND status = ?;

-- name: read
-- Roll-ups of a span of hours; an empty parameter does not filter, `workflow` filters when it is not NULL.
SELECT * FROM roll
WHERE hour >= :since AND hour < :until
  AND (:tenant = '' OR tenant = :tenant)
  AND (:workflow IS NULL OR workflow = :workflow)
  AND (:role = '' OR role = :role);

-- name: sums
-- The same with the hours added up.
SELECT MIN(hour), tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status,
    SUM(n), SUM(cost_nano_usd), SUM(simulated_nano_usd), SUM(saved_nano_usd), SUM(input), SUM(cache_read),
    SUM(cache_write), SUM(cache_write_1h), SUM(output), SUM(reasoning), SUM(input_image), SUM(input_audio),
    SUM(output_image), SUM(output_audio), SUM(compute_ms), SUM(line_input), SUM(line_cache_read),
    SUM(line_cache_write), SUM(line_cache_write_1h), SUM(line_output), SUM(line_reasoning),
    SUM(line_input_image), SUM(line_input_audio), SUM(line_output_image), SUM(line_output_audio),
    SUM(line_compute_ms), SUM(line_other),
    merged_latency(latency)
FROM roll
WHERE hour >= :since AND hour < :until
  AND (:tenant = '' OR tenant = :tenant)
  AND (:workflow IS NULL OR workflow = :workflow)
  AND (:role = '' OR role = :role)
GROUP BY tenant, workflow, role, kind, name, deployment, tier, simulated, cache, status;

-- name: totals
-- The ledger's sums, from the roll-ups.
SELECT COALESCE(SUM(cost_nano_usd), 0), COALESCE(SUM(simulated_nano_usd), 0) FROM roll;
