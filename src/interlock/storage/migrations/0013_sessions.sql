-- phase: cut
-- Small values that belong together for a while.
CREATE TABLE sessions (
    tenant TEXT NOT NULL,
    session TEXT NOT NULL,
    held TEXT NOT NULL,
    ends_ns INTEGER NOT NULL,
    PRIMARY KEY (tenant, session)
) WITHOUT ROWID;

CREATE INDEX sessions_ended ON sessions (ends_ns);
