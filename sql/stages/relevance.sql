-- Keep candidates that are close enough to some target document, whatever its label. A fixed cosine means a different
-- thing for each encoder; fpr = 1e-4 instead is the one that of 10,000 random pairs of a pool and a target document one
-- reaches. A candidate makes such a pair with every target document.
-- fpr: min_score of pool and target
-- :min_score  FLOAT  0.35  cosine to the nearest target document that a candidate must reach, −1 to 1
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
    LEFT JOIN targets AS t EXACT NEAREST 1 BY SIMILARITY array_inner_product(c.embedding, t.embedding)
)
SELECT
    corpus,
    id,
    coalesce(similarity >= $min_score, false) AS keep,
    'nearest target' AS rule,
    similarity AS score,
    $min_score AS threshold,
    partner_corpus,
    partner_id,
    CASE WHEN partner_id IS NULL THEN 'there is no target document' END AS reason
FROM nearest
