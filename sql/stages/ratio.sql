-- Cut to a budget that is shared out between groups: of sources and labels, or whatever by says. A group's share is a
-- level x times its pull, but at least its minimum and at most what it has or may have; x is where the shares add up to
-- the budget (water-filling). The pull is the group's size to the power 1/temperature, or its ratio. Within a
-- group the best documents come first, as long as the next fits into the share. What is then left of the budget goes to
-- the next document of each group, that of the largest unused share first, until the next does not fit: so documents
-- come out exact by largest remainder, and tokens never over the budget.
-- :budget       INTEGER      NULL             [1, inf)  of documents, or what size says; NULL: all that each lets in
-- :size         EXPRESSION   '1'              what a document takes of it: 1, n_tokens, length(text)
-- :each         INTEGER      NULL             [1, inf)  the most for each group, in the unit of the budget
-- :by           EXPRESSIONS  'source, label'  what makes a group, in SQL; its values name it: 'web / en'
-- :temperature  FLOAT        1.0              (0, inf]  1 keeps the candidates' proportions, inf makes groups equal
-- :ratios       NUMBERS      NULL             [0, inf)  pulls by group, in the place of size; 0 if not named
-- :minimum      FLOAT        0.0              [0, inf)  least for each group; below 1 a share of the budget
-- :minimums     NUMBERS      NULL             [0, inf)  the same by group, in its place
-- :cap          FLOAT        1.0              (0, 1]  largest share of the budget for one group
-- :caps         NUMBERS      NULL             [0, inf)  the most by group, in its place; up to 1 a share of the budget
-- :max_repeats  INTEGER      1                [1, inf)  how often a small group's documents may count, by their weight
-- :order        VARCHAR      'score'          score|random  the highest score of earlier stages first, or at random
-- :seed         INTEGER      0                draws the random order, which also settles equal and missing scores
WITH drawn AS (
    SELECT
        c.corpus,
        c.id,
        c.previous_score AS score,
        c.weight,
        $by AS stratum,
        CAST($size AS DOUBLE) AS size,
        md5(concat_ws(':', $seed, c.corpus, c.id)) AS draw
    FROM candidates AS c
),
weighed AS (
    SELECT
        * REPLACE (
            CASE
                WHEN size >= 0 AND isfinite(size) THEN size
                ELSE error(format(
                    'the size of {}:{} is {}; a number of at least 0 is needed',
                    corpus, id, coalesce(size::VARCHAR, 'NULL')
                ))
            END AS size
        ),
        CASE WHEN $order = 'score' THEN score END AS first_key,
        dense_rank() OVER (ORDER BY stratum) AS number
    FROM drawn
),
counted AS (
    SELECT
        number,
        group_name(any_value(stratum)) AS name,
        sum(size) AS there
    FROM weighed
    GROUP BY number
),
named AS (
    SELECT unnest(map_keys(CAST($ratios AS MAP(VARCHAR, DOUBLE)))) AS name, 'ratios' AS parameter
    UNION ALL
    SELECT unnest(map_keys(CAST($minimums AS MAP(VARCHAR, DOUBLE)))), 'minimums'
    UNION ALL
    SELECT unnest(map_keys(CAST($caps AS MAP(VARCHAR, DOUBLE)))), 'caps'
),
strays AS (
    SELECT count(error(format(
        '{} names ''{}'', which is no group; there are: {}', parameter, name,
        (SELECT string_agg(name, ', ' ORDER BY name) FROM (SELECT DISTINCT name FROM counted ORDER BY name LIMIT 20))
    ))) AS found
    FROM named
    WHERE name NOT IN (SELECT name FROM counted) AND EXISTS (FROM counted)
),
told AS (
    SELECT
        number,
        name,
        there,
        there * $max_repeats AS most,
        coalesce(map_extract_value(CAST($minimums AS MAP(VARCHAR, DOUBLE)), name), $minimum) AS minimum,
        map_extract_value(CAST($caps AS MAP(VARCHAR, DOUBLE)), name) AS own_cap,
        CASE
            WHEN $ratios IS NOT NULL THEN coalesce(map_extract_value(CAST($ratios AS MAP(VARCHAR, DOUBLE)), name), 0)
        END AS ratio
    FROM counted, strays
    WHERE found = 0
),
asked AS (
    SELECT
        *,
        coalesce(CASE WHEN minimum < 1 THEN minimum * $budget ELSE minimum END, 0) AS at_least,
        coalesce(CASE WHEN own_cap > 1 THEN own_cap ELSE coalesce(own_cap, $cap) * $budget END, most) AS at_most,
        $budget * ratio / nullif(sum(ratio) OVER (), 0) AS by_ratio
    FROM told
),
roomy AS (
    SELECT
        *,
        least(most, $each, floor(at_most + 1e-9)) AS room,
        least(most, $each, floor(at_most + 1e-9), ceil(at_least - 1e-9)) AS least_room
    FROM asked
),
sized AS (
    SELECT
        *,
        CASE WHEN ratio = 0 THEN least_room ELSE room END AS open_room,
        greatest(coalesce(ratio, pow(there / nullif(max(there) OVER (), 0), 1 / $temperature)), 1e-200) AS pull
    FROM roomy
),
vessels AS (
    SELECT
        list(least_room ORDER BY number) AS floors,
        list(open_room ORDER BY number) AS rooms,
        list(pull ORDER BY number) AS pulls,
        CASE
            WHEN sum(least_room) > $budget
                THEN error(format('the minimums add up to {:.0f}, but the budget is {}', sum(least_room), $budget))
            ELSE least($budget, sum(open_room))
        END AS total
    FROM sized
),
levelled AS (
    SELECT total, water_level(total, floors, rooms, pulls) AS level
    FROM vessels
),
shared AS (
    SELECT
        s.number,
        s.name,
        s.there,
        s.open_room,
        l.total,
        round(least(s.open_room, greatest(s.least_room, l.level * s.pull)), 6) AS share,
        nullif(concat_ws(
            '; ',
            CASE
                WHEN s.most < floor(greatest(s.at_least, s.by_ratio, $each)) THEN format(
                    '{} has {:.0f} of the {:.0f} that it was to get',
                    s.name, s.most, floor(greatest(s.at_least, s.by_ratio, $each))
                )
            END,
            CASE
                WHEN l.total < $budget THEN format('the groups can give {:.0f} of the budget of {}', l.total, $budget)
            END
        ), '') AS reason
    FROM sized AS s, levelled AS l
),
-- before: what the better documents of the group take. A round of all of them comes before the second of any.
lined_up AS (
    SELECT
        w.corpus,
        w.id,
        w.score,
        w.weight,
        w.size,
        s.*,
        row_number() OVER best_first AS rank,
        sum(w.size) OVER best_first - w.size AS before
    FROM weighed AS w
    JOIN shared AS s ON s.number = w.number
    WINDOW best_first AS (
        PARTITION BY w.number ORDER BY w.first_key DESC NULLS LAST, w.draw, w.corpus, w.id
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
),
fitted AS (
    SELECT
        *,
        CASE
            WHEN before + size > share THEN 0
            WHEN there = 0 THEN 1
            ELSE least($max_repeats, 1 + floor((share - before - size) / there)::BIGINT)
        END AS times,
        before + times * there AS before_next
    FROM lined_up
),
-- The next document of each group, where the group may have it.
following AS (
    SELECT number, rank, sum(size) OVER (ORDER BY share - before_next DESC, number) AS asked_for
    FROM fitted
    WHERE times < $max_repeats AND before_next <= share AND before_next + size <= open_room AND there > 0
),
left_over AS (
    SELECT any_value(total) - coalesce(sum(times * size), 0) AS size
    FROM fitted
),
decided AS (
    SELECT f.*, f.times + coalesce(n.asked_for <= l.size, false)::BIGINT AS count
    FROM fitted AS f
    LEFT JOIN following AS n ON n.number = f.number AND n.rank = f.rank, left_over AS l
)
SELECT
    corpus,
    id,
    count > 0 AS keep,
    CASE WHEN count = 0 THEN 'over the quota of ' || name END AS rule,
    score,
    sum((count > 0)::BIGINT) OVER (PARTITION BY number) AS threshold,
    rank,
    CASE WHEN count > 1 THEN weight * count END AS weight,
    reason
FROM decided
