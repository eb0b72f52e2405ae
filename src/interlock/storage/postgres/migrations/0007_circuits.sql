-- phase: pre
-- When a breaker of some process changed its state, and why (core/circuits.py); seen by its own tenant alone, as every other table.
CREATE TABLE circuits (
    process TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    at_ns BIGINT NOT NULL,
    deployment TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (process, seq)
);

CREATE INDEX circuits_when ON circuits (tenant, at_ns);
ALTER TABLE circuits ENABLE ROW LEVEL SECURITY;
ALTER TABLE circuits FORCE ROW LEVEL SECURITY;
CREATE POLICY of_its_tenant ON circuits USING (current_setting('interlock.tenant', true) IN ('*', tenant));
