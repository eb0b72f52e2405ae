-- phase: post
-- From now on the ledger ends with its last record, wherever the next free place is.
UPDATE places SET ahead = 256;
