-- phase: cut
-- The semantic cache: answers with the vectors of their questions, and what each scope has learned about its own errors.

CREATE TABLE similar (
    tenant TEXT NOT NULL,
    space TEXT NOT NULL,
    id TEXT NOT NULL,
    scope TEXT NOT NULL,
    expires_ns INTEGER NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (tenant, space, id)
) WITHOUT ROWID;

CREATE INDEX similar_expiry ON similar (expires_ns);

CREATE TABLE similar_scope (
    tenant TEXT NOT NULL,
    scope TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (tenant, scope)
) WITHOUT ROWID;
