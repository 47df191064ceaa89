-- Cut to a number of documents, shared out between sources, labels or both. A group's quota grows with its size to the
-- power 1/temperature until the group or its cap is exhausted; what it cannot take goes to the others (water-filling),
-- and fractions are settled by largest remainder, so that the total is exact. Within a group the best scores stay.
-- :budget       INTEGER  NULL     [1, inf)  documents to keep; NULL keeps all, and then cap does not apply
-- :by           VARCHAR  'both'   source|label|both  what makes a group
-- :temperature  FLOAT    1.0      (0, inf]  1 keeps the proportions of the candidates, large values make groups equal
-- :cap          FLOAT    1.0      (0, 1]  largest share of the budget for one group
-- :order        VARCHAR  'score'  score|random  within a group the highest score of earlier stages first, or at random
-- :seed         INTEGER  0        draws the random order, which also settles equal and missing scores
WITH drawn AS (
    SELECT
        c.corpus,
        c.id,
        c.source,
        coalesce(c.label, 'no label') AS label,
        c.previous_score AS score,
        md5(concat_ws(':', $seed, c.corpus, c.id)) AS draw
    FROM candidates AS c
),
placed AS (
    SELECT
        corpus,
        id,
        score,
        draw,
        CASE $by
            WHEN 'source' THEN source
            WHEN 'label' THEN label
            ELSE source || ' / ' || label
        END AS stratum,
        CASE WHEN $order = 'score' THEN score END AS first_key
    FROM drawn
),
ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY stratum ORDER BY first_key DESC NULLS LAST, draw, corpus, id) AS rank
    FROM placed
),
counted AS (
    SELECT stratum, count(*) AS n
    FROM ranked
    GROUP BY stratum
),
sized AS (
    SELECT
        stratum,
        coalesce($budget, sum(n) OVER ())::BIGINT AS budget,
        least(n, coalesce(floor($cap * $budget + 1e-9)::BIGINT, n)) AS room,
        greatest(pow(n / max(n) OVER (), 1 / $temperature), 1e-200) AS pull
    FROM counted
),
-- The level x with Σ min(room, x · pull) = budget. If exactly the groups before one are full, it is what they leave of
-- the budget for each unit of pull; with the groups in the order in which they fill up, that is largest where it holds.
levelled AS (
    SELECT
        *,
        (budget - coalesce(sum(room) OVER fuller, 0)) / sum(pull) OVER emptier AS level
    FROM sized
    WINDOW
        fuller AS (ORDER BY room / pull, stratum ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
        emptier AS (ORDER BY room / pull, stratum ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
),
shared AS (
    SELECT
        stratum,
        room,
        least(budget, sum(room) OVER ()) AS total,
        round(least(room, max(level) OVER () * pull), 6) AS share,
        floor(share)::BIGINT AS whole
    FROM levelled
),
rounded AS (
    SELECT
        stratum,
        whole,
        total - sum(whole) OVER () AS left_over,
        row_number() OVER (ORDER BY whole < room DESC, share - whole DESC, stratum) AS turn
    FROM shared
),
quotas AS (
    SELECT stratum, whole + (turn <= left_over)::BIGINT AS quota
    FROM rounded
)
SELECT
    r.corpus,
    r.id,
    r.rank <= q.quota AS keep,
    CASE WHEN r.rank > q.quota THEN 'over the quota of ' || r.stratum END AS rule,
    r.score,
    q.quota AS threshold,
    r.rank
FROM ranked AS r
JOIN quotas AS q ON q.stratum = r.stratum
