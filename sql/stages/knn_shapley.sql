-- Keep the candidates that help a classifier by nearest neighbours on documents of the task: by their Shapley value, the
-- mean of what a candidate adds to its accuracy over all orders in which the candidates can come together (Jia et al.,
-- VLDB 2019, theorem 1). Above 0 it helps; below 0 it is in the way of others that have the right label. A mislabelled
-- document is near those whose label it denies; one far from all of them is worth next to nothing. Candidates without a
-- label are dropped.
-- :on         VARCHAR  'dev'  dev|target|both  whose documents are classified; the target's where there is no dev
-- :k          INTEGER  5      [1, inf)  neighbours of the classifier
-- :min_value  FLOAT    0.0    [-1, 1]  value to reach; -1 for any
-- :budget     INTEGER  NULL   [1, inf)  documents to keep, those of the largest value; NULL keeps all that reach it
-- :max_error  FLOAT    0.0    [0, 1]  how far off a value may be: above 0 only max(k, 1 / max_error) are ranked
WITH judges AS (
    SELECT corpus, id, label, embedding
    FROM dev
    WHERE $on <> 'target'
    UNION ALL
    SELECT corpus, id, label, embedding
    FROM target
    WHERE $on <> 'dev' OR NOT EXISTS (SELECT 1 FROM dev)
),
valued AS (
    SELECT corpus, id, value FROM knn_shapley(judges, 'candidates', k := $k, max_error := $max_error)
),
ranked AS (
    SELECT
        *,
        coalesce(value >= $min_value, false) AS reaches,
        row_number() OVER (ORDER BY value DESC NULLS LAST, corpus, id) AS rank
    FROM valued
),
decided AS (
    SELECT *, reaches AND rank <= coalesce($budget, rank) AS keep
    FROM ranked
)
SELECT
    d.corpus,
    d.id,
    d.keep,
    CASE WHEN NOT d.reaches THEN 'below min_value' WHEN NOT d.keep THEN 'beyond the budget' END AS rule,
    d.value AS score,
    CASE WHEN NOT d.reaches THEN $min_value ELSE min(d.value) FILTER (d.keep) OVER () END AS threshold,
    CASE WHEN d.value IS NOT NULL THEN d.rank END AS rank,
    CASE
        WHEN d.value IS NOT NULL THEN NULL
        WHEN c.label IS NULL THEN 'it has no label'
        WHEN NOT EXISTS (SELECT 1 FROM judges WHERE label IS NOT NULL) THEN 'no document of the task has a label'
        ELSE 'its vector has no direction'
    END AS reason
FROM decided AS d
JOIN candidates AS c ON c.corpus = d.corpus AND c.id = d.id
