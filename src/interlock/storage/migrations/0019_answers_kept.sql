-- phase: post
-- Where processes of before kept their answers.
DROP TABLE cache;
