-- The days on which the share of a label is above what it was while we learned it: an upper CUSUM of daily z-scores
-- (Page, Biometrika 1954). Reads the corpus 'labelled': a document's day and the label that a model gave it.
-- The limit is what the largest sum of $watch quiet days exceeds at the rate $false_alarms, in 1,000 simulated periods.
-- Their days are as large as those learned from and differ as much as these do, at least by chance; the share is learned
-- anew in each, so that the limit allows for one that was learned from few days. (Days drawn again from those learned
-- from would not do: the largest of 56 is seldom among 28.)
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
spread AS (
    SELECT l.share, greatest(1, stddev_samp((d.hits - d.n * l.share) / sqrt(d.n * l.share * (1 - l.share)))) AS sd
    FROM days AS d, learned AS l
    WHERE d.number <= $learn
    GROUP BY l.share
),
-- Which day gives a place its size, and two numbers between 0 and 1.
lots AS MATERIALIZED (
    SELECT
        run,
        place,
        1 + md5_number_lower(concat_ws(':', run, place, 'day')) % $learn AS number,
        (md5_number_lower(concat_ws(':', run, place)) + 0.5) / 18446744073709551616.0 AS one,
        (md5_number_upper(concat_ws(':', run, place)) + 0.5) / 18446744073709551616.0 AS other
    FROM range(1000) AS r (run), range($learn + $watch) AS p (place)
),
-- A normal number of the two (Box and Muller 1958).
drawn AS (
    SELECT
        l.run,
        l.place,
        d.n,
        d.n * s.share
        + s.sd * sqrt(-2 * ln(l.one)) * cos(2 * pi() * l.other) * sqrt(d.n * s.share * (1 - s.share)) AS hits
    FROM lots AS l
    JOIN days AS d ON d.number = l.number, spread AS s
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
