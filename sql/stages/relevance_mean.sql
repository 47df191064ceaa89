-- Keep candidates whose mean cosine to their k nearest target documents is high enough: unlike the nearest one alone,
-- it does not rest on a single, maybe odd, target document. With fewer than k target documents it is the mean of all.
-- :k          INTEGER  5     target documents that count, from 1
-- :min_score  FLOAT    0.35  mean cosine that a candidate must reach, −1 to 1
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
    'mean of nearest targets' AS rule,
    mean AS score,
    $min_score AS threshold,
    partner_corpus,
    partner_id,
    CASE WHEN partner_id IS NULL THEN 'there is no target document' END AS reason
FROM placed
WHERE place = 1
