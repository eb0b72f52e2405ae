-- phase: cut
-- Small values that belong together for a while.
CREATE TABLE sessions (
    tenant TEXT COLLATE "C" NOT NULL,
    session TEXT COLLATE "C" NOT NULL,
    held TEXT NOT NULL,
    ends_ns BIGINT NOT NULL,
    PRIMARY KEY (tenant, session)
);

CREATE INDEX sessions_ended ON sessions (ends_ns);
