-- Keep candidates that are close enough to some target document of their own label. Those without a label have no such
-- document and are dropped. A fixed cosine means a different thing for each encoder; fpr = 1e-4 instead is the one that
-- of 10,000 random pairs of a pool and a target document one reaches.
-- judges: each alone
-- fpr: min_score of pool and target
-- :min_score  FLOAT  0.35  [-1, 1]  cosine to the nearest target document of its label that a candidate must reach
WITH targets AS (
    SELECT corpus, id, label, embedding FROM target ORDER BY corpus, id
),
nearest AS (
    SELECT
        c.corpus,
        c.id,
        t.corpus AS partner_corpus,
        t.id AS partner_id,
        array_inner_product(c.embedding, t.embedding) AS similarity
    FROM candidates AS c
    JOIN (SELECT * FROM targets AS o WHERE o.label = c.label) AS t
        EXACT NEAREST 1 BY SIMILARITY array_inner_product(c.embedding, t.embedding)
)
SELECT
    c.corpus,
    c.id,
    coalesce(n.similarity >= $min_score, false) AS keep,
    'nearest target of its label' AS rule,
    n.similarity AS score,
    $min_score AS threshold,
    n.partner_corpus,
    n.partner_id,
    CASE
        WHEN c.label IS NULL THEN 'it has no label'
        WHEN n.partner_id IS NULL THEN 'no target document has its label'
    END AS reason
FROM candidates AS c
LEFT JOIN nearest AS n ON n.corpus = c.corpus AND n.id = c.id
