-- phase: pre
-- Latency sketches are asked for and added to by functions, so that what they are at rest can change beneath processes that work. `pairs` are buckets
-- and counts in turns, in the order of the buckets.
CREATE FUNCTION latency_of(pairs BIGINT[]) RETURNS JSONB LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_object_agg(pairs[place], pairs[place + 1]), '{}') FROM generate_series(1, cardinality(pairs), 2) AS place
$$;

CREATE FUNCTION latency_and(ours JSONB, pairs BIGINT[]) RETURNS JSONB LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT merge_latency(ours, latency_of(pairs))
$$;

CREATE FUNCTION latency_told(ours JSONB) RETURNS BYTEA LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT convert_to(ours::text, 'UTF8')
$$;
