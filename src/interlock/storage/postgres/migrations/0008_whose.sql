-- phase: pre
-- On whose behalf a file was uploaded and a turn of a conversation was made, so that erasing a user finds it; empty: nobody's, or from before.
ALTER TABLE files ADD COLUMN whose TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE responses ADD COLUMN whose TEXT COLLATE "C" NOT NULL DEFAULT '';
