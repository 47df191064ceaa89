-- Keep the candidates whose words and pairs of words are likelier in the target than in the pool (DSIR, Xie et al.
-- 2023), with weights that also mean something for short texts and few target documents. With by, each value of that
-- column of the target is a target of its own: a candidate competes for the one that it fits best, and each takes its
-- share of the budget.
-- :min_score    FLOAT    NULL     score to reach, in nats per n-gram: above 0 is likelier in the target; NULL for any
-- :budget       INTEGER  NULL     [1, inf)  documents to keep; NULL keeps all that reach min_score
-- :by           VARCHAR  NULL     column of the target that parts it into several targets, such as 'label'
-- :proportions  VARCHAR  NULL     shares of the budget, as 'positive=2, negative=1'; NULL gives each target the same
-- :order        VARCHAR  'score'  score|sampled  the best first, or as in the paper drawn by log weight and Gumbel noise
-- :ngrams       INTEGER  2        [1, inf)  longest run of words that counts
-- :buckets      INTEGER  100000   [2, inf)  to which n-grams are hashed
-- :smoothing    FLOAT    30000    (0, inf)  n-grams of the pool's distribution that are added to the target's
-- :seed         INTEGER  0        draws the noise
WITH weighed AS (
    SELECT corpus, id, coalesce(target, 'all') AS target, log_weight, score
    FROM dsir(
        'target', 'candidates', by := $by, ngrams := $ngrams, buckets := $buckets, smoothing := $smoothing
    )
),
placed AS (
    SELECT
        *,
        CASE
            WHEN $budget IS NULL AND $proportions IS NOT NULL THEN error('proportions needs a budget to share out')
            WHEN $order = 'sampled' THEN log_weight + gumbel_noise(concat_ws(':', $seed, target, corpus, id))
            ELSE score
        END AS place
    FROM weighed
),
best AS (
    SELECT *
    FROM placed
    QUALIFY row_number() OVER (PARTITION BY corpus, id ORDER BY place DESC, target) = 1
),
asked AS (
    SELECT trim(split_part(part, '=', 1)) AS target, try_cast(trim(split_part(part, '=', 2)) AS DOUBLE) AS share
    FROM (SELECT unnest(string_split($proportions, ',')) AS part)
),
targets AS (
    SELECT DISTINCT target FROM weighed
),
shares AS (
    SELECT
        coalesce(t.target, a.target) AS target,
        CASE
            WHEN $proportions IS NULL THEN 1.0
            WHEN t.target IS NULL THEN error(format('proportions names ''{}'', which is no target', a.target))
            WHEN a.target IS NULL THEN 0.0
            WHEN a.share >= 0 AND isfinite(a.share) THEN a.share
            ELSE error(format('proportions gives ''{}'' no number of at least 0', a.target))
        END AS share
    FROM targets AS t
    FULL JOIN asked AS a ON a.target = t.target
),
parts AS (
    SELECT target, $budget * share / sum(share) OVER () AS part
    FROM shares
),
quotas AS (
    SELECT
        target,
        floor(part)::BIGINT
            + (row_number() OVER (ORDER BY part - floor(part) DESC, target) <= $budget - sum(floor(part)) OVER ())::BIGINT
            AS quota
    FROM parts
),
ranked AS (
    SELECT
        b.*,
        q.quota,
        row_number() OVER (PARTITION BY b.target ORDER BY b.place DESC, b.corpus, b.id) AS rank
    FROM best AS b
    LEFT JOIN quotas AS q ON q.target = b.target
),
decided AS (
    SELECT *, score >= coalesce($min_score, score) AS reaches, rank <= coalesce(quota, rank) AS fits
    FROM ranked
)
SELECT
    corpus,
    id,
    reaches AND fits AS keep,
    CASE WHEN NOT reaches THEN 'below min_score' WHEN NOT fits THEN 'beyond the budget of ' || target END AS rule,
    CASE WHEN reaches THEN place ELSE score END AS score,
    CASE WHEN NOT reaches THEN $min_score ELSE min(place) FILTER (reaches AND fits) OVER (PARTITION BY target) END
        AS threshold,
    rank
FROM decided
