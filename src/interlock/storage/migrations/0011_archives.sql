-- phase: cut
-- What has been rolled off: raw rows that left for a file, or for good where `file` is empty. Their sums stay here, so that the ledger still
-- adds up; roll-ups, outcomes and meters stay as they are. A file that no row names was being written when its process died.
CREATE TABLE archives (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    records INTEGER NOT NULL,
    tasks INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    simulated_nano_usd INTEGER NOT NULL,
    at_ns INTEGER NOT NULL
);

-- Where something that was said is still kept.
CREATE INDEX segments_said ON segments (last_ns) WHERE contents IS NOT NULL;
CREATE INDEX events_said ON events (place) WHERE content IS NOT NULL;
