-- phase: post
-- From now on contents are kept with bodies, which processes of before cannot read.
INSERT INTO body_secret (id, secret)
SELECT 1, decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
