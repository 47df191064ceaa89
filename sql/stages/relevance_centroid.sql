-- Keep candidates that are close enough to the centroid of the target, or with by to the nearest of the centroids of
-- its parts. It asks where the target is, not what is in it: fit for a target of one topic.
-- judges: each alone
-- :min_score  FLOAT    0.35  [-1, 1]  cosine to the nearest centroid that a candidate must reach
-- :by         VARCHAR  NULL  column of the target of which each value has a centroid of its own, such as 'label'
WITH middles AS (
    SELECT centroid, embedding FROM centroids('target', by := $by)
),
nearest AS (
    SELECT c.corpus, c.id, m.centroid, array_inner_product(c.embedding, m.embedding) AS similarity
    FROM candidates AS c
    LEFT JOIN middles AS m EXACT NEAREST 1 BY SIMILARITY array_inner_product(c.embedding, m.embedding)
)
SELECT
    corpus,
    id,
    coalesce(similarity >= $min_score, false) AS keep,
    'centroid of ' || CASE WHEN $by IS NULL THEN 'the target' ELSE coalesce(centroid, 'no ' || $by) END AS rule,
    similarity AS score,
    $min_score AS threshold,
    CASE WHEN similarity IS NULL THEN 'there is no target document' END AS reason
FROM nearest
