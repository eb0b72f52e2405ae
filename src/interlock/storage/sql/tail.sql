-- name: events
-- Events after a place, in the order of their places.
SELECT place, task, seq, at_ns, tenant, event, content FROM events WHERE place > ? ORDER BY place LIMIT ?;

-- name: segments
-- Segments that reach beyond a place, in the order of their places; `most` is how many calls one has at the most.
SELECT id, calls, contents FROM segments WHERE id > :after - :most AND id + n > :after + 1 ORDER BY id LIMIT :segments;

-- name: end
-- The last place that holds something; those behind it may be taken already by whoever writes on.
SELECT max(
    coalesce((SELECT max(place) FROM events), 0),
    coalesce((SELECT id + n - 1 FROM segments ORDER BY id DESC LIMIT 1), 0)
);

-- name: kept
-- How far a reader has got.
SELECT place FROM cursors WHERE reader = ?;

-- name: begin
-- A reader that has kept no place yet.
INSERT INTO cursors (reader, place) VALUES (?, ?) ON CONFLICT (reader) DO NOTHING;

-- name: move
-- A reader goes on, if it stands where it was.
UPDATE cursors SET place = ? WHERE reader = ? AND place = ?;
