-- Keep the candidates on which a step of training would lower the loss on dev: by the inner product of their gradient with
-- dev's, for the last layer of a probe that is trained on the target (TracIn, Pruthi et al. 2020; normalised as in LESS,
-- Xia et al. 2024). Without dev, parts of the target judge probes of the others. The target and dev are a few documents
-- of one origin: what they have in common by chance counts as much as what the task has, so judge by other documents
-- what was chosen with it. Candidates of no label of the target are dropped.
-- :min_score   FLOAT    0.0    [-4, 4]  score to reach: above 0 a step on the document helps; -4 for any
-- :budget      INTEGER  NULL   [1, inf)  documents to keep, those of the largest score; NULL keeps all that reach it
-- :normalised  BOOLEAN  true   by cosine, so that documents that are hard for the probe do not come first
-- :c           FLOAT    1      (0, inf)  inverse of the strength of the penalty on the probe's weights
-- :folds       INTEGER  5      [2, inf)  parts of the target that judge where there is no dev
-- :seed        INTEGER  0      draws the parts
WITH scored AS (
    SELECT corpus, id, score
    FROM influence(
        'target', 'dev', 'candidates', c := $c, normalised := $normalised, folds := $folds, seed := $seed
    )
),
ranked AS (
    SELECT
        *,
        coalesce(score >= $min_score, false) AS reaches,
        row_number() OVER (ORDER BY score DESC NULLS LAST, corpus, id) AS rank
    FROM scored
),
decided AS (
    SELECT *, reaches AND rank <= coalesce($budget, rank) AS keep
    FROM ranked
)
SELECT
    d.corpus,
    d.id,
    d.keep,
    CASE WHEN NOT d.reaches THEN 'below min_score' WHEN NOT d.keep THEN 'beyond the budget' END AS rule,
    d.score,
    CASE WHEN NOT d.reaches THEN $min_score ELSE min(d.score) FILTER (d.keep) OVER () END AS threshold,
    CASE WHEN d.score IS NOT NULL THEN d.rank END AS rank,
    CASE
        WHEN d.score IS NOT NULL THEN NULL
        WHEN c.label IS NULL THEN 'it has no label'
        WHEN NOT EXISTS (SELECT 1 FROM target WHERE label = c.label) THEN 'no target document has its label'
        ELSE 'its vector has no direction, or there is nobody to judge it'
    END AS reason
FROM decided AS d
JOIN candidates AS c ON c.corpus = d.corpus AND c.id = d.id
