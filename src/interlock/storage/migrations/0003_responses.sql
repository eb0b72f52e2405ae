-- Turns of conversations that go on by `previous_response_id`, by tenant and key.
CREATE TABLE responses (
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    key_id TEXT NOT NULL,
    previous TEXT NOT NULL DEFAULT '',
    items BLOB NOT NULL,
    output BLOB NOT NULL,
    body BLOB NOT NULL,
    created_ns INTEGER NOT NULL,
    expires_ns INTEGER NOT NULL,
    PRIMARY KEY (tenant, key_id, id)
) WITHOUT ROWID;

CREATE INDEX responses_expiry ON responses (expires_ns);
