-- phase: pre
-- Long texts of what was said, once for each tenant: `name` is a keyed hash of tenant and text, `body` the text as it rests, `uses` how many kept
-- values refer to it. `content` and `contents` hold blobs from now on (see `bodies.py`); texts are what was kept before, and `retention run` packs them.
CREATE TABLE bodies (
    name TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    uses INTEGER NOT NULL,
    body BLOB NOT NULL
);

-- What the names are made with: one row, once nobody works here who knows no bodies. Until then contents are kept as before.
CREATE TABLE body_secret (
    id INTEGER PRIMARY KEY,
    secret BLOB NOT NULL
);

CREATE INDEX segments_old ON segments (id) WHERE typeof(contents) = 'text';
CREATE INDEX events_old ON events (place) WHERE typeof(content) = 'text';
