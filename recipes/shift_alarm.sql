-- The days on which the share of a label is above what it was while we learned it: an upper CUSUM of daily z-scores
-- (Page, Biometrika 1954). Reads the corpus 'labelled': a document's day and the label that a model gave it.
-- The limit is what the largest sum of $watch quiet days exceeds at the rate $false_alarms, by a bootstrap of the days
-- that were learned from: each run draws days for learning and for watching anew, so that the limit allows for days
-- that differ by more than chance, and for the error of a share that was learned from few days.
--   curator sql -f recipes/shift_alarm.sql -s label=negative -s learn=28 -s watch=56 -s slack=0.5 -s false_alarms=0.05
-- label: whose share is watched; learn: the first days; slack: z that a day may be above before it counts.
WITH days AS MATERIALIZED (
    SELECT
        day,
        row_number() OVER (ORDER BY day) AS number,
        count(*) AS n,
        count(*) FILTER (label = $label) AS hits
    FROM labelled
    GROUP BY day
),
learned AS (
    SELECT sum(hits) / sum(n) AS share
    FROM days
    WHERE number <= $learn
),
scored AS (
    SELECT d.*, l.share AS expected, (d.hits - d.n * l.share) / sqrt(d.n * l.share * (1 - l.share)) AS z
    FROM days AS d, learned AS l
    WHERE d.number > $learn
),
summed AS (
    SELECT *, sum(z - $slack) OVER (ORDER BY number) AS total
    FROM scored
),
watched AS (
    SELECT *, total - least(0, min(total) OVER (ORDER BY number)) AS cusum
    FROM summed
),
-- 1,000 runs of quiet days: place by place a day of those learned from.
picked AS MATERIALIZED (
    SELECT run, place, 1 + md5_number_lower(concat_ws(':', run, place)) % $learn AS number
    FROM range(1000) AS r (run), range($learn + $watch) AS p (place)
),
drawn AS (
    SELECT p.run, p.place, d.n, d.hits
    FROM picked AS p
    JOIN days AS d ON d.number = p.number
),
expecting AS (
    SELECT
        *,
        sum(hits) FILTER (place < $learn) OVER (PARTITION BY run)
        / sum(n) FILTER (place < $learn) OVER (PARTITION BY run) AS share
    FROM drawn
),
quiet AS (
    SELECT
        run,
        place,
        sum((hits - n * share) / sqrt(n * share * (1 - share)) - $slack) OVER (PARTITION BY run ORDER BY place) AS total
    FROM expecting
    WHERE place >= $learn
),
quiet_sums AS (
    SELECT run, total - least(0, min(total) OVER (PARTITION BY run ORDER BY place)) AS cusum
    FROM quiet
),
limits AS (
    SELECT quantile_cont(largest, 1 - $false_alarms) AS threshold
    FROM (SELECT max(cusum) AS largest FROM quiet_sums GROUP BY run)
)
SELECT
    w.day,
    w.n,
    w.hits / w.n AS share,
    w.expected,
    w.z,
    w.cusum,
    l.threshold,
    max(w.day) FILTER (w.cusum = 0) OVER (ORDER BY w.number) AS quiet_until
FROM watched AS w, limits AS l
QUALIFY w.cusum > l.threshold
ORDER BY w.day
