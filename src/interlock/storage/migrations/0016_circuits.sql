-- phase: pre
-- When a breaker of some process changed its state, and why (core/circuits.py).
CREATE TABLE circuits (
    process TEXT NOT NULL,
    seq INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    deployment TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (process, seq)
) WITHOUT ROWID;

CREATE INDEX circuits_when ON circuits (tenant, at_ns);
