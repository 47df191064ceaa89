-- Keep the candidates that a classifier of their vectors takes for the target's rather than for other candidates. It is
-- cross-fitted: none is scored by a classifier that has seen it.
-- :min_score  FLOAT    0.0    log-odds to reach: at 0 a document is as likely in the target as among the candidates
-- :folds      INTEGER  5      [2, inf)  parts of the candidates, each scored by what the others teach
-- :sample     INTEGER  20000  [1, inf)  candidates that a classifier is trained on
-- :c          FLOAT    0.1    (0, inf)  inverse of the strength of the penalty on its weights
-- :seed       INTEGER  0      draws the sample
WITH scored AS (
    SELECT corpus, id, score
    FROM domain_classifier('target', 'candidates', folds := $folds, sample := $sample, c := $c, seed := $seed)
)
SELECT
    corpus,
    id,
    coalesce(score >= $min_score, false) AS keep,
    'domain classifier' AS rule,
    score,
    $min_score AS threshold,
    CASE WHEN score IS NULL THEN 'there is no target document, or no other candidate, to learn from' END AS reason
FROM scored
