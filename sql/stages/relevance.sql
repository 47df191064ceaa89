-- Keep candidates that are close enough to some target document, whatever its label, or, with k above 1, to several: a
-- mean does not rest on a single, maybe odd, target document. With fewer than k target documents it is the mean of all.
-- A fixed cosine means a different thing for each encoder; fpr = 1e-4 instead is the one that of 10,000 random pairs of
-- a pool and a target document one reaches. A candidate makes such a pair with every target document.
-- judges: each alone
-- fpr: min_score of pool and target
-- :min_score  FLOAT    0.35  [-1, 1]  cosine to the nearest target document, or mean of k, that a candidate must reach
-- :k          INTEGER  1     [1, inf)  nearest target documents whose mean cosine counts
WITH targets AS (
    SELECT corpus, id, embedding FROM target ORDER BY corpus, id
),
nearest AS (
    SELECT
        c.corpus,
        c.id,
        t.corpus AS partner_corpus,
        t.id AS partner_id,
        array_inner_product(c.embedding, t.embedding) AS similarity
    FROM candidates AS c
    LEFT JOIN targets AS t EXACT NEAREST $k BY SIMILARITY array_inner_product(c.embedding, t.embedding)
),
placed AS (
    SELECT
        *,
        avg(similarity) OVER (PARTITION BY corpus, id) AS mean,
        row_number() OVER (PARTITION BY corpus, id ORDER BY similarity DESC, partner_corpus, partner_id) AS place
    FROM nearest
)
SELECT
    corpus,
    id,
    coalesce(mean >= $min_score, false) AS keep,
    CASE WHEN $k = 1 THEN 'nearest target' ELSE 'mean of nearest targets' END AS rule,
    mean AS score,
    $min_score AS threshold,
    partner_corpus,
    partner_id,
    CASE WHEN partner_id IS NULL THEN 'there is no target document' END AS reason
FROM placed
WHERE place = 1
