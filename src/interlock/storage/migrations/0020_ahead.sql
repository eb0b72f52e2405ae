-- phase: pre
-- How many places a process may take from the file at once while it is the only one that writes; none as long as others look where the ledger ends
-- by the next free place.
ALTER TABLE places ADD COLUMN ahead INTEGER NOT NULL DEFAULT 0;
