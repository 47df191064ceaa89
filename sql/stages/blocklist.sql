-- Drop documents with terms of a list of one's own, by listed_terms(candidates, terms): profanity, brands, anything. A
-- list says what words a text has, not what it means: quotations, reclaimed words and the names of groups are hit as
-- well, so look at whom it drops (curator affected MIX --by source). In a recipe terms = { file = "list.txt" } reads it.
-- judges: each alone
-- :terms      VARCHAR  ''  the terms, separated by lines or commas
-- :max_share  FLOAT    0   [0, inf)  terms found for each word of a text, at most; 0 is none at all
WITH found AS (
    SELECT corpus, id, found, terms
    FROM listed_terms(candidates, $terms)
),
measured AS (
    SELECT c.corpus, c.id, f.terms, coalesce(f.found / nullif(word_count(c.text), 0), 0) AS share
    FROM candidates AS c
    JOIN found AS f ON f.corpus = c.corpus AND f.id = c.id
)
SELECT
    corpus,
    id,
    share <= $max_share AS keep,
    CASE WHEN share > $max_share THEN 'listed terms' END AS rule,
    share AS score,
    CASE WHEN share > $max_share THEN $max_share END AS threshold,
    terms AS reason
FROM measured
