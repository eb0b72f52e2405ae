-- phase: cut
-- Turns of conversations that go on by `previous_response_id`, by tenant and key. `root` is the first turn: a conversation lives as long as
-- its newest turn. The table has row ids, since rows of thousands of bytes would spill out of a key's own pages.
CREATE TABLE responses (
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    key_id TEXT NOT NULL,
    previous TEXT NOT NULL,
    root TEXT NOT NULL,
    items BLOB NOT NULL,
    output BLOB NOT NULL,
    body BLOB NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    PRIMARY KEY (tenant, key_id, id)
);

CREATE INDEX responses_root ON responses (root, expires_ns);
CREATE INDEX responses_expiry ON responses (expires_ns);
