-- phase: post
-- From now on contents are kept with bodies, which processes of before cannot read.
INSERT INTO body_secret (id, secret) VALUES (1, randomblob(32));
