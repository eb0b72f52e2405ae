-- phase: post
-- From now on a sketch is a list of counts that begins with its first bucket (PostgreSQL's lists say where they begin): adding to it and reading it cost
-- what it is wide, not what a text of it costs. Processes of before write texts.
DROP FUNCTION latency_of(BIGINT[]);
DROP FUNCTION latency_and(JSONB, BIGINT[]);
DROP FUNCTION latency_told(JSONB);

CREATE FUNCTION latency_and(ours INTEGER[], pairs BIGINT[]) RETURNS INTEGER[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    bucket INTEGER;
    first INTEGER := pairs[1];
    last INTEGER := pairs[cardinality(pairs) - 1];
BEGIN
    IF first IS NULL THEN
        RETURN ours;
    END IF;
    IF cardinality(ours) = 0 THEN
        ours := array_fill(0, ARRAY[last - first + 1], ARRAY[first]);
    END IF;
    IF first < array_lower(ours, 1) THEN
        ours := array_fill(0, ARRAY[array_lower(ours, 1) - first], ARRAY[first]) || ours;
    END IF;
    IF last > array_upper(ours, 1) THEN
        ours := ours || array_fill(0, ARRAY[last - array_upper(ours, 1)]);
    END IF;
    FOR place IN 1 .. cardinality(pairs) BY 2 LOOP
        bucket := pairs[place];
        ours[bucket] := ours[bucket] + pairs[place + 1];
    END LOOP;
    RETURN ours;
END
$$;

CREATE FUNCTION latency_of(pairs BIGINT[]) RETURNS INTEGER[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT latency_and('{}'::INTEGER[], pairs)
$$;

CREATE FUNCTION latency_told(ours INTEGER[]) RETURNS BYTEA LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_send(ours)
$$;

CREATE FUNCTION latency_was(ours JSONB) RETURNS INTEGER[] LANGUAGE sql IMMUTABLE AS $$
    SELECT latency_of(coalesce(array_agg(number ORDER BY bucket, part), '{}'))
    FROM jsonb_each_text(ours), LATERAL (VALUES (key::bigint, 1, key::bigint), (key::bigint, 2, value::bigint)) AS pair (bucket, part, number)
$$;

ALTER TABLE roll ALTER COLUMN latency TYPE INTEGER[] USING latency_was(latency);
DROP FUNCTION latency_was(JSONB);
DROP FUNCTION merge_latency(JSONB, JSONB);
