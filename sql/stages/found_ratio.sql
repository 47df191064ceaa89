-- Cut to a budget in the ratio between groups that a probe learns most from, where dev confirms it; else in proportion to
-- the groups' sizes. Many ratios are tried, a regression over them says which is best, and parts of dev that it has not
-- looked at say by how much it is better (RegMix, Liu et al., 2024; see the table function mixture). Where dev is small,
-- parts of it and of the target judge probes of the others. Documents without a label are dropped: they teach no probe.
-- :budget       INTEGER      1000      [1, inf)  documents to keep
-- :by           EXPRESSIONS  'source'  what makes a group, in SQL; its values name it: 'web / en'
-- :trials       INTEGER      128       [8, inf)  ratios that are tried
-- :sample       INTEGER      1500      [1, inf)  the most candidates that a probe is trained on
-- :max_repeats  INTEGER      1         [1, inf)  how often a small group's documents may count, by their weight
-- :penalty      FLOAT        0.01      [0, inf)  nats of log loss that leaving the proportions by one nat must gain
-- :confirm      VARCHAR      'loss'    loss|macro_f1  of which gain the 95 % interval must be above 0
-- :draws        INTEGER      5         [2, inf)  samples of the candidates by which it is confirmed
-- :c            FLOAT        100       (0, inf)  inverse of the strength of the penalty on the probe's weights
-- :folds        INTEGER      5         [2, inf)  parts of dev, or of both
-- :min_dev      INTEGER      100       [0, inf)  with fewer documents of dev, parts of target and dev judge one another
-- :order        VARCHAR      'score'   score|random  the highest score of earlier stages first, or at random
-- :seed         INTEGER      0         draws ratios, samples, parts and the random order
WITH grouped AS (
    SELECT
        c.corpus,
        c.id,
        c.label,
        c.weight,
        c.previous_score AS score,
        group_name($by) AS "group",
        md5(concat_ws(':', $seed, c.corpus, c.id)) AS draw
    FROM candidates AS c
),
named AS (
    SELECT corpus, id, "group"
    FROM grouped
),
found AS (
    SELECT "group", prior, share, reason
    FROM mixture(
        'target', 'dev', 'candidates', 'named', budget := $budget, sample := $sample, trials := $trials,
        max_repeats := $max_repeats, penalty := $penalty, confirm := $confirm, draws := $draws, c := $c,
        folds := $folds, min_dev := $min_dev, seed := $seed
    )
),
sized AS (
    SELECT "group", count(label)::DOUBLE AS there
    FROM grouped
    GROUP BY "group"
),
pulling AS (
    SELECT
        f.*,
        s.there,
        0.0::DOUBLE AS least_room,
        CASE WHEN f.share > 0 THEN s.there * $max_repeats ELSE 0 END AS room,
        greatest(f.share, 1e-200) AS pull
    FROM found AS f
    JOIN sized AS s ON s."group" = f."group"
),
vessels AS (
    SELECT
        list("group" ORDER BY "group") AS names,
        list(least_room ORDER BY "group") AS floors,
        list(room ORDER BY "group") AS rooms,
        list(pull ORDER BY "group") AS pulls,
        least($budget, sum(room)) AS total
    FROM pulling
),
poured AS (
    SELECT unnest(names) AS "group", unnest(shared_out(total, floors, rooms, pulls)) AS quota
    FROM vessels
),
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY "group", label IS NULL
            ORDER BY CASE WHEN $order = 'score' THEN score END DESC NULLS LAST, draw, corpus, id
        ) AS place
    FROM grouped
),
decided AS (
    SELECT
        r.*,
        p.quota,
        l.prior,
        l.share,
        l.reason AS verdict,
        CASE
            WHEN r.label IS NULL OR l.there = 0 THEN 0
            ELSE p.quota // l.there::BIGINT + (r.place <= p.quota % l.there::BIGINT)::BIGINT
        END AS count
    FROM ranked AS r
    JOIN poured AS p ON p."group" = r."group"
    JOIN pulling AS l ON l."group" = r."group"
)
SELECT
    corpus,
    id,
    count > 0 AS keep,
    CASE
        WHEN label IS NULL THEN 'no label to learn from'
        WHEN count = 0 THEN 'over the quota of ' || "group"
    END AS rule,
    score,
    CASE WHEN label IS NOT NULL THEN least(quota, sum((count > 0)::BIGINT) OVER (PARTITION BY "group")) END AS threshold,
    CASE WHEN label IS NOT NULL THEN place END AS rank,
    CASE WHEN count > 1 THEN weight * count END AS weight,
    format('{} gets {:.1f} %, in proportion {:.1f} %: {}', "group", 100 * share, 100 * prior, verdict) AS reason
FROM decided
